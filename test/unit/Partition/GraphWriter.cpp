//===- GraphWriter.cpp ----------------------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GraphWriter.h"
#include <vector>

using namespace partita::test;

std::string GraphWriter::parameter(std::initializer_list<int64_t> shape) {
  std::string name = "@p" + std::to_string(next++), t = tensor(shape);
  int64_t bytes = 8;
  for (int64_t size : shape)
    bytes *= size;
  parameters +=
      "nn.parameter " + name + " : " + t +
      " {file = -1 : i64, offset = 0 : i64, length = " + std::to_string(bytes) +
      " : i64}\n";
  return emit("nn.get_parameter " + name + " : " + t);
}

std::string GraphWriter::linear(const std::string &x, int64_t from,
                                int64_t to) {
  std::string w = parameter({from, to});
  return emit("nn.matmul " + x + ", " + w + " : " +
              tensor({batch, sequence, from}) + ", " + tensor({from, to}));
}

std::string GraphWriter::biased(const std::string &x, int64_t size) {
  std::string b = parameter({size}), t = tensor({batch, sequence, size});
  std::string wide =
      emit("nn.broadcast " + b + " [2] : " + tensor({size}) + " to " + t);
  return emit("nn.add " + x + ", " + wide + " : " + t);
}

std::string GraphWriter::feedForward(const std::string &x) {
  int64_t inner = pick({6, 8, 10});
  std::string h = biased(linear(x, width, inner), inner);
  const char *activations[] = {"gelu", "relu", "silu", "tanh"};
  h = emit(std::string("nn.") + activations[random() % 4] + " " + h + " : " +
           tensor({batch, sequence, inner}));
  return biased(linear(h, inner, width), width);
}

/// [b, s, h d] to [b, h, s, d].
std::string GraphWriter::toHeads(const std::string &x,
                                 const std::string &from) {
  std::string split = tensor({batch, sequence, heads, depth});
  std::string h = emit("nn.reshape " + x + " : " + from + " to " + split);
  return emit("nn.transpose " + h + " [0, 2, 1, 3] : " + split);
}

/// Attention with one fused matrix for query, key and value.
std::string GraphWriter::selfAttention(const std::string &x) {
  std::string fused = tensor({batch, sequence, 3 * width});
  std::string qkv = biased(linear(x, width, 3 * width), 3 * width);
  std::string parts = fresh();
  body += "  " + parts + ":3 = nn.split " + qkv + " axis 2 : " + fused +
          " to " + type + ", " + type + ", " + type + "\n";
  std::string q = toHeads(parts + "#0", type), k = toHeads(parts + "#1", type),
              v = toHeads(parts + "#2", type);
  std::string t = tensor({batch, heads, sequence, depth});
  std::string out = fresh();
  body += "  " + out + ":2 = nn.attention " + q + ", " + k + ", " + v +
          " scale 0.5" + (random() % 2 ? " causal" : "") + " : " + t + ", " +
          t + ", " + t + "\n";
  std::string back = emit("nn.transpose " + out + "#0 [0, 2, 1, 3] : " + t);
  back = emit("nn.reshape " + back + " : " +
              tensor({batch, sequence, heads, depth}) + " to " + type);
  return linear(back, width, width);
}

std::string GraphWriter::normalized(const std::string &x) {
  std::string scale = parameter({width}), v = tensor({width});
  if (random() % 2)
    return emit("nn.rms_norm " + x + ", " + scale +
                " epsilon 1.0e-5 : " + type + ", " + v);
  std::string bias = parameter({width});
  return emit("nn.layer_norm " + x + ", " + scale + ", " + bias +
              " epsilon 1.0e-5 : " + type + ", " + v + ", " + v);
}

/// Two products side by side, multiplied, from one concatenated value.
std::string GraphWriter::gated(const std::string &x) {
  std::string a = linear(x, width, width), b = linear(x, width, width);
  std::string both = tensor({batch, sequence, 2 * width});
  std::string joined = emit("nn.concat " + a + ", " + b + " axis 2 : " + type +
                            ", " + type + " to " + both);
  std::string parts = fresh();
  body += "  " + parts + ":2 = nn.split " + joined + " axis 2 : " + both +
          " to " + type + ", " + type + "\n";
  std::string gate = emit("nn.sigmoid " + parts + "#0 : " + type);
  return emit("nn.mul " + gate + ", " + parts + "#1 : " + type);
}

/// x times a reduction of itself over the sequence.
std::string GraphWriter::scaledByMean(const std::string &x) {
  const char *kinds[] = {"sum", "max"};
  std::string r = emit(std::string("nn.reduce \"") + kinds[random() % 2] +
                       "\", " + x + " [1] : " + type);
  std::string wide =
      emit("nn.broadcast " + r + " [0, 2] : " + tensor({batch, width}) +
           " to " + type);
  std::string soft = emit("nn.softmax " + wide + " axis 2 : " + type);
  return emit("nn.mul " + x + ", " + soft + " : " + type);
}

std::string GraphWriter::write() {
  batch = pick({1, 2, 3, 4}), sequence = pick({2, 4, 5, 6});
  heads = pick({2, 3, 4}), depth = pick({1, 2, 3});
  width = heads * depth;
  type = tensor({batch, sequence, width});
  int64_t vocabulary = 7;
  std::string ids = "tensor<" + std::to_string(batch) + "x" +
                    std::to_string(sequence) + "xi64>";
  std::string table = parameter({vocabulary, width});
  std::string x = emit("nn.gather " + table + ", %ids axis 0 : " +
                       tensor({vocabulary, width}) + ", " + ids);
  x = emit("nn.add " + x + ", %x : " + type);
  std::vector<std::string> earlier = {x};
  for (int block = 0, blocks = 1 + random() % 3; block < blocks; ++block) {
    using Block = std::string (GraphWriter::*)(const std::string &);
    static const Block kinds[] = {
        &GraphWriter::feedForward, &GraphWriter::selfAttention,
        &GraphWriter::gated, &GraphWriter::scaledByMean};
    std::string y =
        (this->*kinds[random() % 4])(random() % 2 ? normalized(x) : x);
    // A residual, mostly from the block's input.
    const std::string &other =
        random() % 4 ? x : earlier[random() % earlier.size()];
    x = emit("nn.add " + other + ", " + y + " : " + type);
    earlier.push_back(x);
  }
  return parameters + "func.func @step(%ids: " + ids + ", %x: " + type +
         ") -> (" + type + ", " + type + ") {\n" + body + "  return " + x +
         ", " + earlier[0] + " : " + type + ", " + type + "\n}\n";
}
