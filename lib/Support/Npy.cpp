//===- Npy.cpp - Reading and writing .npy files ---------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A `.npy` file is a magic string, a version, a header (a Python dictionary
// literal with exactly the keys descr, fortran_order and shape) and raw data.
// The header is parsed by a small strict parser: nothing in it is evaluated,
// pickled objects and structured types are refused, and the element count is
// checked against the file's size before anything is allocated.
//
//===----------------------------------------------------------------------===//

#include "partita/Support/Npy.h"
#include "partita/Support/File.h"
#include <cstring>
#include <optional>

using namespace partita;

namespace {

struct Header {
  std::string descr;
  bool fortran = false;
  std::vector<int64_t> shape;
  bool hasDescr = false, hasFortran = false, hasShape = false;
};

/// Parses the dictionary literal. `fail` holds the reason once a step fails.
class HeaderParser {
public:
  explicit HeaderParser(std::string_view text) : text(text) {}

  std::optional<Header> parse() {
    Header header;
    if (!expect('{'))
      return std::nullopt;
    while (!peek('}')) {
      std::string key;
      if (!parseString(key) || !expect(':') || !parseValue(key, header))
        return std::nullopt;
      if (!peek(',') || !expect(','))
        break;
    }
    if (!expect('}') || !atEnd())
      return std::nullopt;
    if (!header.hasDescr || !header.hasFortran || !header.hasShape) {
      fail = "a key of descr, fortran_order, shape is missing";
      return std::nullopt;
    }
    return header;
  }

  std::string fail = "the header is not a dictionary of descr, fortran_order "
                     "and shape";

private:
  void skipSpace() {
    while (position < text.size() &&
           (text[position] == ' ' || text[position] == '\n' ||
            text[position] == '\t'))
      ++position;
  }
  bool peek(char c) {
    skipSpace();
    return position < text.size() && text[position] == c;
  }
  bool expect(char c) {
    if (!peek(c))
      return false;
    ++position;
    return true;
  }
  bool atEnd() {
    skipSpace();
    return position == text.size();
  }
  bool parseString(std::string &out) {
    skipSpace();
    if (position >= text.size() ||
        (text[position] != '\'' && text[position] != '"'))
      return false;
    char quote = text[position++];
    while (position < text.size() && text[position] != quote)
      out += text[position++];
    return position < text.size() && text[position++] == quote;
  }
  bool parseWord(std::string_view word) {
    skipSpace();
    if (text.substr(position, word.size()) != word)
      return false;
    position += word.size();
    return true;
  }
  bool parseInteger(int64_t &out) {
    skipSpace();
    size_t start = position;
    out = 0;
    while (position < text.size() && text[position] >= '0' &&
           text[position] <= '9')
      if (__builtin_mul_overflow(out, int64_t(10), &out) ||
          __builtin_add_overflow(out, int64_t(text[position++] - '0'), &out))
        return false;
    if (position < text.size() && text[position] == 'L') // Python 2's suffix.
      ++position;
    return position > start;
  }
  bool parseShape(std::vector<int64_t> &shape) {
    if (!expect('('))
      return false;
    while (!peek(')')) {
      int64_t size;
      if (!parseInteger(size))
        return false;
      shape.push_back(size);
      if (!peek(',') || !expect(','))
        break;
    }
    return expect(')');
  }
  bool parseValue(const std::string &key, Header &header) {
    if (key == "descr" && !header.hasDescr) {
      header.hasDescr = true;
      if (peek('[')) {
        fail = "structured element types are not supported";
        return false;
      }
      return parseString(header.descr);
    }
    if (key == "fortran_order" && !header.hasFortran) {
      header.hasFortran = true;
      header.fortran = parseWord("True");
      return header.fortran || parseWord("False");
    }
    if (key == "shape" && !header.hasShape) {
      header.hasShape = true;
      return parseShape(header.shape);
    }
    return false;
  }

  std::string_view text;
  size_t position = 0;
};

} // namespace

static std::optional<DType> dtypeOfDescr(const std::string &descr) {
  static constexpr std::pair<const char *, DType> table[] = {
      {"f4", DType::F32}, {"f8", DType::F64}, {"f2", DType::F16},
      {"i1", DType::I8},  {"i2", DType::I16}, {"i4", DType::I32},
      {"i8", DType::I64}, {"u1", DType::U8},  {"u2", DType::U16},
      {"u4", DType::U32}, {"u8", DType::U64}, {"b1", DType::Bool},
  };
  if (descr.size() != 3)
    return std::nullopt;
  for (auto [name, type] : table)
    if (descr.substr(1) == name) {
      bool orderless = descr[0] == '|' && dtypeSize(type) == 1;
      if (descr[0] == '<' || descr[0] == '=' || orderless)
        return type;
    }
  return std::nullopt;
}

static std::string descrOfDType(DType type) {
  switch (type) {
  case DType::F32:
  case DType::BF16: // numpy has no bfloat16: widened when written.
    return "<f4";
  case DType::F64:
    return "<f8";
  case DType::F16:
    return "<f2";
  case DType::I8:
    return "|i1";
  case DType::I16:
    return "<i2";
  case DType::I32:
    return "<i4";
  case DType::I64:
    return "<i8";
  case DType::U8:
    return "|u1";
  case DType::U16:
    return "<u2";
  case DType::U32:
    return "<u4";
  case DType::U64:
    return "<u8";
  case DType::Bool:
    return "|b1";
  }
  return "";
}

static Error
npyError(const std::string &path, std::string message,
         std::string hint = "numpy.save(path, array) writes what is read here, "
                            "if the array holds numbers") {
  return makeError(ExitCode::InvalidInput, "npy.malformed", path,
                   std::move(message), std::move(hint));
}

/// Copies column-major data at `from` to row-major order.
static void fromFortran(const std::byte *from, HostTensor &tensor) {
  size_t size = dtypeSize(tensor.dtype());
  const std::vector<int64_t> &shape = tensor.shape();
  std::vector<int64_t> index(shape.size(), 0);
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = 1; i < shape.size(); ++i)
    strides[i] = strides[i - 1] * shape[i - 1];
  int64_t source = 0;
  for (int64_t i = 0; i < tensor.numElements(); ++i) {
    std::memcpy(tensor.data() + i * size, from + source * size, size);
    for (size_t d = shape.size(); d-- > 0;) {
      source += strides[d];
      if (++index[d] < shape[d])
        break;
      source -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
}

Result<HostTensor> partita::readNpy(const std::string &path) {
  PARTITA_TRY(InputFile file, InputFile::open(path));
  unsigned char prefix[12] = {};
  int64_t prefixSize = std::min<int64_t>(file.size(), 12);
  PARTITA_CHECK(file.read(0, prefix, prefixSize));
  if (prefixSize < 10 || std::memcmp(prefix, "\x93NUMPY", 6) != 0)
    return npyError(path, "not a .npy file",
                    "write it with numpy.save(path, array)");
  int major = prefix[6];
  if (major < 1 || major > 3 || (major > 1 && prefixSize < 12))
    return npyError(path, "unknown .npy version " + std::to_string(major));
  int64_t begin = major == 1 ? 10 : 12;
  int64_t length = prefix[8] | prefix[9] << 8;
  if (major > 1)
    length |= int64_t(prefix[10]) << 16 | int64_t(prefix[11]) << 24;
  if (length > file.size() - begin || length > (1 << 20))
    return npyError(path, "the header is longer than the file");
  std::string text(length, '\0');
  PARTITA_CHECK(file.read(begin, text.data(), length));

  HeaderParser parser(text);
  std::optional<Header> header = parser.parse();
  if (!header)
    return npyError(path, parser.fail);
  if (header->descr.find('O') != std::string::npos)
    return npyError(path, "holds pickled Python objects, which are never read",
                    "convert the array to a numeric type before saving it");
  std::optional<DType> type = dtypeOfDescr(header->descr);
  if (!type)
    return npyError(path,
                    "element type '" + header->descr + "' is not supported",
                    "use a little-endian float, integer or bool type");
  std::optional<int64_t> count = checkedNumElements(header->shape);
  int64_t available = file.size() - begin - length;
  int64_t needed;
  if (!count ||
      __builtin_mul_overflow(*count, int64_t(dtypeSize(*type)), &needed))
    return npyError(path, "the shape's element count does not fit 63 bits");
  if (needed != available)
    return npyError(path, "the shape needs " + std::to_string(needed) +
                              " bytes of data, the file has " +
                              std::to_string(available));
  HostTensor tensor(*type, header->shape);
  if (!header->fortran || header->shape.size() < 2) {
    PARTITA_CHECK(file.read(begin + length, tensor.data(), needed));
  } else {
    std::vector<std::byte> raw(needed);
    PARTITA_CHECK(file.read(begin + length, raw.data(), needed));
    fromFortran(raw.data(), tensor);
  }
  if (*type == DType::Bool)
    for (int64_t i = 0; i < tensor.numElements(); ++i)
      tensor.as<uint8_t>()[i] = tensor.as<uint8_t>()[i] != 0;
  return tensor;
}

Result<HostTensor> partita::readNpyAs(const std::string &path, DType wanted) {
  PARTITA_TRY(HostTensor tensor, readNpy(path));
  bool narrows = wanted == DType::BF16 && tensor.dtype() == DType::F32;
  return narrows ? tensor.cast(wanted) : tensor;
}

std::string partita::npyHeader(DType type, const std::vector<int64_t> &shape) {
  std::string dict = "{'descr': '" + descrOfDType(type) +
                     "', 'fortran_order': False, 'shape': (";
  for (size_t i = 0; i < shape.size(); ++i)
    dict += std::to_string(shape[i]) +
            (shape.size() == 1 || i + 1 < shape.size() ? ", " : "");
  dict += "), }";
  // The data begins at a multiple of 64 bytes.
  size_t unpadded = 10 + dict.size() + 1;
  dict.append((64 - unpadded % 64) % 64, ' ');
  dict += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(dict.size() & 0xff);
  header += static_cast<char>(dict.size() >> 8);
  return header + dict;
}

Status partita::writeNpy(const std::string &path, const HostTensor &tensor) {
  PARTITA_TRY(AtomicFile file, AtomicFile::create(path));
  PARTITA_CHECK(writeNpy(file, tensor));
  return file.commit();
}

Status partita::writeNpy(AtomicFile &file, const HostTensor &tensor) {
  if (tensor.dtype() == DType::BF16)
    return writeNpy(file, tensor.cast(DType::F32));
  std::string header = npyHeader(tensor.dtype(), tensor.shape());
  PARTITA_CHECK(file.write(header.data(), header.size()));
  return file.write(tensor.data(), tensor.numBytes());
}
