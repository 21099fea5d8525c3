//===- Names.cpp - Many names as one --------------------------------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "partita/Support/Names.h"
#include <set>

using namespace partita;

/// The parts of an id: text and numbers in turns, text first.
static std::vector<std::string> partsOf(const std::string &id) {
  std::vector<std::string> parts = {""};
  for (char c : id) {
    bool isDigit = c >= '0' && c <= '9';
    if (isDigit != (parts.size() % 2 == 0))
      parts.emplace_back();
    parts.back() += c;
  }
  return parts;
}

std::string partita::namePattern(const std::string &id) {
  std::string pattern;
  std::vector<std::string> parts = partsOf(id);
  for (size_t i = 0; i < parts.size(); ++i)
    pattern += i % 2 ? std::string(1, '\0') : parts[i];
  return pattern;
}

/// Numbers as text, shorter ones first: in their order, whatever their size.
static std::string rangeText(const std::vector<std::string> &numbers) {
  constexpr size_t maxListed = 4, maxDigits = 9;
  auto less = [](const std::string &a, const std::string &b) {
    return std::pair(a.size(), a) < std::pair(b.size(), b);
  };
  std::set<std::string, decltype(less)> sorted(numbers.begin(), numbers.end(),
                                               less);
  const std::string &least = *sorted.begin(), &most = *sorted.rbegin();
  if (sorted.size() == 1)
    return least;
  bool isRun = most.size() <= maxDigits && (least == "0" || least[0] != '0') &&
               std::stoul(most) - std::stoul(least) + 1 == sorted.size();
  if (isRun)
    return "[" + least + "-" + most + "]";
  if (sorted.size() > maxListed)
    return "[" + least + ".." + most + "]";
  std::string text;
  for (const std::string &number : sorted)
    text += (text.empty() ? "[" : ",") + number;
  return text + "]";
}

std::string partita::commonName(const std::vector<std::string> &ids) {
  std::vector<std::vector<std::string>> all;
  for (const std::string &id : ids)
    all.push_back(partsOf(id));
  std::string name;
  for (size_t i = 0; !all.empty() && i < all[0].size(); ++i) {
    std::vector<std::string> numbers;
    for (const std::vector<std::string> &parts : all)
      numbers.push_back(parts[i]);
    name += i % 2 ? rangeText(numbers) : all[0][i];
  }
  return name;
}

std::vector<std::string> partita::splitAt(const std::string &text, char mark) {
  std::vector<std::string> parts(1);
  for (char c : text)
    if (c == mark)
      parts.emplace_back();
    else
      parts.back() += c;
  return parts;
}
