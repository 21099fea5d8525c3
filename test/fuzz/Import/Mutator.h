//===- Mutator.h - Changes to a model that leave it a model ----*- C++ -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Changed bytes seldom get past protobuf's parser, and never make the input of
// one node that of another. This changes a model where it is a tree of
// messages: a field of one of them, by what such fields hold elsewhere in the
// model or by values that are known to make trouble.
//
//===----------------------------------------------------------------------===//

#ifndef PARTITA_TEST_FUZZ_IMPORT_MUTATOR_H
#define PARTITA_TEST_FUZZ_IMPORT_MUTATOR_H

#include "onnx/onnx_pb.h"
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace partita::fuzz {

class Mutator {
public:
  explicit Mutator(unsigned seed) : random(seed) {}

  /// Changes one field somewhere in the model.
  void mutate(onnx::ModelProto &model);
  /// Adds nodes and weights of another model.
  void cross(onnx::ModelProto &model, const onnx::ModelProto &other);

private:
  using Message = google::protobuf::Message;
  using Field = google::protobuf::FieldDescriptor;

  size_t below(size_t count) {
    return std::uniform_int_distribution<size_t>(0, count - 1)(random);
  }
  template <typename T> const T &oneOf(const std::vector<T> &from) {
    return from[below(from.size())];
  }

  void collect(Message &message);
  void mutateField(Message &message, const Field &field);
  void mutateRepeated(Message &message, const Field &field);
  void assign(Message &message, const Field &field, int index);
  std::unique_ptr<Message> another(const Field &field);
  int64_t number();
  double real();
  std::string text(const Field &field, const std::string &old);

  std::mt19937 random;
  /// All messages of the model, and the strings in them.
  std::vector<Message *> messages;
  std::vector<std::string> strings;
};

} // namespace partita::fuzz

#endif // PARTITA_TEST_FUZZ_IMPORT_MUTATOR_H
