//===- Mutator.cpp - Changes to a model that leave it a model -------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Everything goes through protobuf's reflection, so that no field of ONNX is
// left out and none has to be named, but for the names of operators.
//
//===----------------------------------------------------------------------===//

#include "Mutator.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "onnx/defs/schema.h"
#include <cstdint>
#include <limits>

using namespace partita::fuzz;
using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

/// Messages beyond these are left alone.
static constexpr size_t maxMessages = 4000;

static const std::vector<std::string> &operatorNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> result;
    for (const auto &schema :
         onnx::OpSchemaRegistry::get_all_schemas_with_history())
      result.push_back(schema.Name());
    return result;
  }();
  return names;
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

int64_t Mutator::number() {
  static const std::vector<int64_t> known = {
      0,         1,         -1,        2,         3,         4,
      7,         8,         -2,        16,        64,        65,
      127,       255,       1 << 20,   INT32_MAX, INT32_MIN, 1ll << 31,
      1ll << 32, 1ll << 40, 1ll << 62, INT64_MAX, INT64_MIN};
  if (below(8) == 0)
    return int64_t(random()) << 32 | int64_t(random());
  uint64_t near = below(8) == 0 ? uint64_t(below(3)) - 1 : 0;
  return int64_t(uint64_t(oneOf(known)) + near);
}

double Mutator::real() {
  using Limits = std::numeric_limits<double>;
  static const std::vector<double> known = {0.0,
                                            -0.0,
                                            1,
                                            -1,
                                            0.5,
                                            2,
                                            1e30,
                                            -1e30,
                                            1e-30,
                                            3e300,
                                            Limits::infinity(),
                                            Limits::quiet_NaN()};
  return oneOf(known);
}

std::string Mutator::text(const FieldDescriptor &field,
                          const std::string &old) {
  bool isOperator = field.name() == "op_type";
  size_t choice = below(8);
  if (isOperator && choice < 6)
    return oneOf(operatorNames());
  if (choice < 4 && !strings.empty())
    return oneOf(strings);
  if (choice == 4)
    return std::to_string(number());
  std::string changed = old;
  changed.resize(old.size() + 16);
  changed.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t *>(changed.data()),
                                  old.size(), changed.size()));
  return changed;
}

//===----------------------------------------------------------------------===//
// Fields
//===----------------------------------------------------------------------===//

void Mutator::collect(Message &message) {
  if (messages.size() >= maxMessages)
    return;
  messages.push_back(&message);
  const Reflection *reflection = message.GetReflection();
  std::vector<const FieldDescriptor *> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor *field : fields) {
    int count =
        field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
        collect(*(field->is_repeated()
                      ? reflection->MutableRepeatedMessage(&message, field, i)
                      : reflection->MutableMessage(&message, field)));
      else if (field->type() == FieldDescriptor::TYPE_STRING)
        strings.push_back(field->is_repeated()
                              ? reflection->GetRepeatedString(message, field, i)
                              : reflection->GetString(message, field));
    }
  }
}

/// A copy of a message of the kind that a field holds, from anywhere in the
/// model: the field may lie in what is copied, and setting it may end another.
std::unique_ptr<google::protobuf::Message>
Mutator::another(const FieldDescriptor &field) {
  std::vector<Message *> others;
  for (Message *message : messages)
    if (message->GetDescriptor() == field.message_type())
      others.push_back(message);
  if (others.empty())
    return nullptr;
  const Message &chosen = *oneOf(others);
  std::unique_ptr<Message> copy(chosen.New());
  copy->CopyFrom(chosen);
  return copy;
}

/// Sets a field that is no message, or element `index` of it.
#define PARTITA_ASSIGN(Kind, value)                                            \
  return index < 0                                                             \
             ? reflection->Set##Kind(&message, &field, value)                  \
             : reflection->SetRepeated##Kind(&message, &field, index, value)
void Mutator::assign(Message &message, const FieldDescriptor &field,
                     int index) {
  const Reflection *reflection = message.GetReflection();
  switch (field.cpp_type()) {
  case FieldDescriptor::CPPTYPE_INT32:
    PARTITA_ASSIGN(Int32, int32_t(number()));
  case FieldDescriptor::CPPTYPE_INT64:
    PARTITA_ASSIGN(Int64, number());
  case FieldDescriptor::CPPTYPE_UINT32:
    PARTITA_ASSIGN(UInt32, uint32_t(number()));
  case FieldDescriptor::CPPTYPE_UINT64:
    PARTITA_ASSIGN(UInt64, uint64_t(number()));
  case FieldDescriptor::CPPTYPE_DOUBLE:
    PARTITA_ASSIGN(Double, real());
  case FieldDescriptor::CPPTYPE_FLOAT:
    PARTITA_ASSIGN(Float, float(real()));
  case FieldDescriptor::CPPTYPE_BOOL:
    PARTITA_ASSIGN(Bool, below(2) == 0);
  case FieldDescriptor::CPPTYPE_ENUM: {
    const auto *type = field.enum_type();
    const auto *value = type->value(int(below(size_t(type->value_count()))));
    PARTITA_ASSIGN(Enum, value);
  }
  case FieldDescriptor::CPPTYPE_STRING: {
    std::string old =
        index < 0 ? reflection->GetString(message, &field)
                  : reflection->GetRepeatedString(message, &field, index);
    PARTITA_ASSIGN(String, text(field, old));
  }
  case FieldDescriptor::CPPTYPE_MESSAGE: {
    std::unique_ptr<Message> content = another(field);
    Message *to =
        index < 0 ? reflection->MutableMessage(&message, &field)
                  : reflection->MutableRepeatedMessage(&message, &field, index);
    if (content)
      to->CopyFrom(*content);
    return;
  }
  }
}
#undef PARTITA_ASSIGN

static void addElement(google::protobuf::Message &message,
                       const FieldDescriptor &field) {
  const Reflection *reflection = message.GetReflection();
  switch (field.cpp_type()) {
  case FieldDescriptor::CPPTYPE_INT32:
    return reflection->AddInt32(&message, &field, 0);
  case FieldDescriptor::CPPTYPE_INT64:
    return reflection->AddInt64(&message, &field, 0);
  case FieldDescriptor::CPPTYPE_UINT64:
    return reflection->AddUInt64(&message, &field, 0);
  case FieldDescriptor::CPPTYPE_FLOAT:
    return reflection->AddFloat(&message, &field, 0);
  case FieldDescriptor::CPPTYPE_DOUBLE:
    return reflection->AddDouble(&message, &field, 0);
  case FieldDescriptor::CPPTYPE_STRING:
    return reflection->AddString(&message, &field, "");
  case FieldDescriptor::CPPTYPE_MESSAGE:
    reflection->AddMessage(&message, &field);
    return;
  default: // ONNX has no lists of the others.
    return;
  }
}

void Mutator::mutateRepeated(Message &message, const FieldDescriptor &field) {
  const Reflection *reflection = message.GetReflection();
  int size = reflection->FieldSize(message, &field);
  size_t choice = below(8);
  if (size == 0 || choice == 0) {
    addElement(message, field);
    size = reflection->FieldSize(message, &field);
    if (size)
      assign(message, field, size - 1);
    return;
  }
  int index = int(below(size_t(size)));
  if (choice == 1 || choice == 2)
    reflection->SwapElements(&message, &field, index, int(below(size_t(size))));
  if (choice == 1) // Drops what now stands last.
    reflection->RemoveLast(&message, &field);
  if (choice > 2)
    assign(message, field, index);
}

void Mutator::mutateField(Message &message, const FieldDescriptor &field) {
  if (field.is_repeated())
    return mutateRepeated(message, field);
  if (below(8) == 0)
    return message.GetReflection()->ClearField(&message, &field);
  assign(message, field, -1);
}

//===----------------------------------------------------------------------===//
// Models
//===----------------------------------------------------------------------===//

void Mutator::mutate(onnx::ModelProto &model) {
  messages.clear();
  strings.clear();
  collect(model);
  Message &message = *oneOf(messages);
  // Mostly one that is there: an attribute has many fields and holds one.
  std::vector<const FieldDescriptor *> present;
  message.GetReflection()->ListFields(message, &present);
  const auto *type = message.GetDescriptor();
  if (type->field_count() == 0)
    return;
  if (present.empty() || below(4) == 0)
    mutateField(message, *type->field(int(below(size_t(type->field_count())))));
  else
    mutateField(message, *oneOf(present));
}

void Mutator::cross(onnx::ModelProto &model, const onnx::ModelProto &other) {
  onnx::GraphProto &graph = *model.mutable_graph();
  for (const auto &node : other.graph().node())
    if (below(2) == 0)
      *graph.add_node() = node;
  for (const auto &tensor : other.graph().initializer())
    if (below(2) == 0)
      *graph.add_initializer() = tensor;
  for (const auto &input : other.graph().input())
    if (below(2) == 0)
      *graph.add_input() = input;
  for (const auto &function : other.functions())
    if (below(2) == 0)
      *model.add_functions() = function;
}

//===----------------------------------------------------------------------===//
// What libFuzzer calls
//===----------------------------------------------------------------------===//

static bool parse(onnx::ModelProto &model, const uint8_t *data, size_t size) {
  return model.ParsePartialFromArray(data, int(size)) && model.has_graph();
}

/// The new size, or 0 if the model does not fit.
static size_t store(const onnx::ModelProto &model, uint8_t *data, size_t most) {
  size_t size = model.ByteSizeLong();
  if (size > most || !model.SerializePartialToArray(data, int(size)))
    return 0;
  return size;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size,
                                          size_t most, unsigned seed) {
  onnx::ModelProto model;
  if (seed % 16 == 0 || !parse(model, data, size))
    return LLVMFuzzerMutate(data, size, most);
  Mutator mutator(seed);
  for (unsigned times = 1 + seed / 16 % 4; times > 0; --times)
    mutator.mutate(model);
  size_t changed = store(model, data, most);
  return changed ? changed : LLVMFuzzerMutate(data, size, most);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t *first,
                                            size_t firstSize,
                                            const uint8_t *second,
                                            size_t secondSize, uint8_t *out,
                                            size_t most, unsigned seed) {
  onnx::ModelProto model, other;
  if (!parse(model, first, firstSize) || !parse(other, second, secondSize))
    return 0;
  Mutator(seed).cross(model, other);
  return store(model, out, most);
}
