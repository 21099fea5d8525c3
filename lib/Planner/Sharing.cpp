//===- Sharing.cpp - What readers of one tensor pay together --------------===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Sharing.h"
#include <algorithm>

using namespace partita;
using namespace partita::planner;

//===----------------------------------------------------------------------===//
// Prices
//===----------------------------------------------------------------------===//

int64_t planner::priceShared(const Model &model, const Problem &problem,
                             const std::vector<int> &values) {
  const bool isTime = &problem == &model.time;
  int64_t price = 0;
  std::vector<char> isUse(problem.edges.size(), 0);
  for (const SharedValue &value : model.shared) {
    std::map<std::pair<int, int>, int64_t> paid; // by group and layout
    for (const SharedValue::Use &use : value.uses) {
      if (use.group < 0)
        continue;
      isUse[isTime ? use.inTime : use.inObjective] = 1;
      paid[{use.group, (*use.wanted)[values[use.op]]}] =
          model.objective.edges[use.inObjective].table->at(
              values[value.variable], values[use.op]);
    }
    for (auto [what, time] : paid)
      price = addPrices(price, time);
  }
  for (size_t v = 0; v < values.size(); ++v)
    price = addPrices(price, problem.unary[v][values[v]]);
  for (size_t e = 0; e < problem.edges.size(); ++e) {
    const PriceEdge &edge = problem.edges[e];
    if (!isUse[e])
      price = addPrices(
          price, edge.table->at(values[edge.first], values[edge.second]));
  }
  return price;
}

//===----------------------------------------------------------------------===//
// Tuples
//===----------------------------------------------------------------------===//

/// The values of a variable for a shared layout and what goes with it.
struct Sharing::Tuples {
  /// The groups that have layouts of their own, and how many at most.
  std::vector<int> groups, extra;
  /// By tuple: the original value; and by group, its layouts.
  std::vector<int> original;
  std::vector<std::vector<std::vector<int>>> layouts;
  /// By tuple: what the layouts of the groups cost.
  std::vector<int64_t> prices;
  /// How many original values there were.
  size_t before = 0;

  int place(int group) const {
    auto it = std::find(groups.begin(), groups.end(), group);
    return it == groups.end() ? -1 : static_cast<int>(it - groups.begin());
  }
};

namespace partita::planner {
class SharingBuilder {
public:
  SharingBuilder(const Model &model, const Left &left, int extra,
                 Sharing &result)
      : model(model), left(left), extra(extra), result(result) {}
  void run();

private:
  using Tuples = Sharing::Tuples;
  using Uses = std::vector<const SharedValue::Use *>;
  /// A layout that a group may be given, and what it costs from each shared
  /// one.
  struct Option {
    int layout;
    std::vector<int64_t> prices;
  };
  std::vector<Option> optionsOf(const SharedValue &value,
                                const Uses &uses) const;
  std::shared_ptr<Tuples> withGroup(const Tuples &tuples, int group,
                                    const std::vector<Option> &options,
                                    int layouts) const;
  std::shared_ptr<const Tuples> make(const SharedValue &value) const;
  std::shared_ptr<const Tuples> of(const SharedValue &value);
  std::shared_ptr<const PriceTable>
  brought(const std::shared_ptr<const PriceTable> &table, const Tuples &tuples);
  std::shared_ptr<const PriceTable>
  read(const std::shared_ptr<const PriceTable> &table, const Tuples &tuples,
       int place, const std::vector<int> *wanted, int64_t shareOf);
  void replaceVariables();
  void replaceTables(const Problem &problem, Problem &changed);

  const Model &model;
  const Left &left;
  int extra;
  Sharing &result;
  /// Layers have them in common.
  std::map<std::vector<int64_t>, std::shared_ptr<const Tuples>> known;
  std::map<std::tuple<const PriceTable *, const Tuples *, int,
                      const std::vector<int> *, int64_t>,
           std::shared_ptr<const PriceTable>>
      tables;
  /// By variable, where it is a tuple.
  std::vector<const Tuples *> tuplesOf;
  /// By edge of the objective and of the time, where it is one of a group: the
  /// use, and how many may want a layout that the group is not given.
  using Reader = std::pair<const SharedValue::Use *, int64_t>;
  std::map<size_t, Reader> readers[2];
};
} // namespace partita::planner

/// What two of the uses or more may want.
std::vector<SharingBuilder::Option>
SharingBuilder::optionsOf(const SharedValue &value, const Uses &uses) const {
  struct Wanted {
    int count = 0;
    const PriceTable *table = nullptr;
    int column = 0;
  };
  std::map<int, Wanted> wanted;
  for (const SharedValue::Use *use : uses) {
    std::map<int, int> columns;
    for (size_t c = 0; c < use->wanted->size(); ++c)
      if (left(use->op, c))
        columns.try_emplace((*use->wanted)[c], static_cast<int>(c));
    for (auto [layout, column] : columns) {
      Wanted &entry = wanted[layout];
      ++entry.count;
      entry.table = model.objective.edges[use->inObjective].table.get();
      entry.column = column;
    }
  }
  std::vector<Option> options;
  for (const auto &[layout, entry] : wanted) {
    if (entry.count < 2)
      continue;
    Option &option = options.emplace_back(Option{layout, {}});
    for (size_t s = 0; s < value.layouts->size(); ++s)
      option.prices.push_back(
          entry.table->at(static_cast<int>(s), entry.column));
  }
  return options;
}

/// Each tuple with any up to so many layouts for one more group.
std::shared_ptr<SharingBuilder::Tuples>
SharingBuilder::withGroup(const Tuples &tuples, int group,
                          const std::vector<Option> &options,
                          int layouts) const {
  auto more = std::make_shared<Tuples>();
  more->before = tuples.before;
  more->groups = tuples.groups;
  more->groups.push_back(group);
  more->extra = tuples.extra;
  more->extra.push_back(layouts);
  for (size_t i = 0; i < tuples.original.size(); ++i) {
    // Grows while it is walked through: each set of layouts with the options
    // after its last.
    std::vector<std::tuple<std::vector<int>, size_t, int64_t>> sets{
        {{}, 0, tuples.prices[i]}};
    for (size_t at = 0; at < sets.size(); ++at) {
      auto [set, next, price] = sets[at];
      more->original.push_back(tuples.original[i]);
      more->layouts.push_back(tuples.layouts[i]);
      more->layouts.back().push_back(set);
      more->prices.push_back(price);
      if (static_cast<int>(set.size()) == layouts)
        continue;
      for (size_t o = next; o < options.size(); ++o) {
        int64_t paid = options[o].prices[tuples.original[i]];
        if (paid == 0 || paid >= forbidden)
          continue;
        std::vector<int> larger = set;
        larger.push_back(options[o].layout);
        sets.push_back({std::move(larger), o + 1, addPrices(price, paid)});
      }
    }
  }
  return more;
}

/// Null if no group has anything to share, or all have too much.
std::shared_ptr<const SharingBuilder::Tuples>
SharingBuilder::make(const SharedValue &value) const {
  constexpr size_t most = 2048;
  std::map<int, Uses> groups;
  for (const SharedValue::Use &use : value.uses)
    if (use.group >= 0)
      groups[use.group].push_back(&use);
  std::vector<std::pair<int, std::vector<Option>>> options;
  for (const auto &[group, uses] : groups)
    if (std::vector<Option> list = optionsOf(value, uses); !list.empty())
      options.push_back({group, std::move(list)});
  // Those with fewest first: as many as there is room for.
  std::sort(options.begin(), options.end(), [](const auto &a, const auto &b) {
    return a.second.size() < b.second.size();
  });
  auto tuples = std::make_shared<Tuples>();
  tuples->before = value.layouts->size();
  for (size_t s = 0; s < value.layouts->size(); ++s)
    if (left(value.variable, s))
      tuples->original.push_back(static_cast<int>(s));
  tuples->layouts.resize(tuples->original.size());
  tuples->prices.assign(tuples->original.size(), 0);
  for (const auto &[group, list] : options)
    for (int layouts = extra; layouts > 0; --layouts) {
      std::shared_ptr<Tuples> more = withGroup(*tuples, group, list, layouts);
      if (more->original.size() <= most) {
        tuples = std::move(more);
        break;
      }
    }
  return tuples->groups.empty() ? nullptr : tuples;
}

std::shared_ptr<const SharingBuilder::Tuples>
SharingBuilder::of(const SharedValue &value) {
  std::vector<int64_t> seen{left.classOf[value.variable],
                            reinterpret_cast<intptr_t>(value.layouts)};
  for (const SharedValue::Use &use : value.uses) {
    seen.push_back(use.group);
    seen.push_back(left.classOf[use.op]);
    seen.push_back(reinterpret_cast<intptr_t>(use.wanted));
    seen.push_back(reinterpret_cast<intptr_t>(
        model.objective.edges[use.inObjective].table.get()));
  }
  auto [it, isNew] = known.try_emplace(std::move(seen));
  if (isNew)
    it->second = make(value);
  return it->second;
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

/// Of an edge that ends at a tuple.
std::shared_ptr<const PriceTable>
SharingBuilder::brought(const std::shared_ptr<const PriceTable> &table,
                        const Tuples &tuples) {
  std::shared_ptr<const PriceTable> &known =
      tables[{table.get(), &tuples, -1, nullptr, 0}];
  if (known)
    return known;
  auto made = std::make_shared<PriceTable>();
  made->rows = table->rows;
  made->columns = static_cast<int>(tuples.original.size());
  for (int row = 0; row < made->rows; ++row)
    for (int original : tuples.original)
      made->prices.push_back(table->at(row, original));
  return known = std::move(made);
}

/// Of an edge from a tuple to what reads it: nothing where the layout is there
/// for the group at `place`, else a part of what the use pays by itself.
std::shared_ptr<const PriceTable>
SharingBuilder::read(const std::shared_ptr<const PriceTable> &table,
                     const Tuples &tuples, int place,
                     const std::vector<int> *wanted, int64_t shareOf) {
  std::shared_ptr<const PriceTable> &known =
      tables[{table.get(), &tuples, place, wanted, shareOf}];
  if (known)
    return known;
  auto made = std::make_shared<PriceTable>();
  made->rows = static_cast<int>(tuples.original.size());
  made->columns = table->columns;
  for (int row = 0; row < made->rows; ++row)
    for (int column = 0; column < made->columns; ++column) {
      bool isThere = false;
      if (place >= 0)
        for (int layout : tuples.layouts[row][place])
          isThere |= layout == (*wanted)[column];
      int64_t price = table->at(tuples.original[row], column);
      made->prices.push_back(isThere              ? 0
                             : price >= forbidden ? forbidden
                                                  : price / shareOf);
    }
  return known = std::move(made);
}

void SharingBuilder::replaceVariables() {
  for (const SharedValue &value : model.shared) {
    std::shared_ptr<const Tuples> tuples = of(value);
    if (!tuples)
      continue;
    tuplesOf[value.variable] = tuples.get();
    result.tuples.push_back({value.variable, tuples});
    result.model.objective.unary[value.variable] = tuples->prices;
    result.model.time.unary[value.variable] = tuples->prices;
    for (const SharedValue::Use &use : value.uses) {
      const int place = tuples->place(use.group);
      if (place < 0)
        continue;
      int64_t size = std::count_if(
          value.uses.begin(), value.uses.end(),
          [&](const auto &other) { return other.group == use.group; });
      readers[0][use.inObjective] = {&use, 1};
      readers[1][use.inTime] = {
          &use, std::max<int64_t>(1, size / (tuples->extra[place] + 1))};
    }
  }
}

/// `problem` is one of the original model.
void SharingBuilder::replaceTables(const Problem &problem, Problem &changed) {
  const auto &own = readers[&problem == &model.time];
  for (size_t e = 0; e < problem.edges.size(); ++e) {
    const PriceEdge &edge = problem.edges[e];
    std::shared_ptr<const PriceTable> &table = changed.edges[e].table;
    if (const Tuples *tuples = tuplesOf[edge.second])
      table = brought(edge.table, *tuples);
    const Tuples *tuples = tuplesOf[edge.first];
    if (!tuples)
      continue;
    auto reader = own.find(e);
    if (reader == own.end()) {
      table = read(edge.table, *tuples, -1, nullptr, 1);
      continue;
    }
    auto [use, shareOf] = reader->second;
    table = read(model.objective.edges[use->inObjective].table, *tuples,
                 tuples->place(use->group), use->wanted, shareOf);
  }
}

void SharingBuilder::run() {
  result.model = model;
  tuplesOf.assign(model.time.unary.size(), nullptr);
  for (Problem *problem : {&result.model.objective, &result.model.time})
    for (size_t v = 0; v < problem->unary.size(); ++v)
      for (size_t value = 0; value < problem->unary[v].size(); ++value)
        if (!left(static_cast<int>(v), value))
          problem->unary[v][value] = forbidden;
  replaceVariables();
  replaceTables(model.objective, result.model.objective);
  replaceTables(model.time, result.model.time);
}

Sharing::Sharing(const Model &model, const Left &left, int extra) {
  SharingBuilder(model, left, extra, *this).run();
}

void Sharing::toOriginal(std::vector<int> &values) const {
  for (const auto &[variable, made] : tuples)
    values[variable] = made->original[values[variable]];
}

Left Sharing::toOriginal(const Left &left) const {
  Left result = left;
  for (const auto &[variable, made] : tuples) {
    std::vector<char> &values = result.ofClass[result.classOf[variable]];
    values.assign(made->before, 0);
    for (size_t i = 0; i < made->original.size(); ++i)
      if (left(variable, i))
        values[made->original[i]] = 1;
  }
  return result;
}

Left planner::leftWithin(const DualBound &dual, int64_t slack) {
  Left left{dual.classOf, {}};
  for (const std::vector<int64_t> &excess : dual.excess) {
    left.ofClass.emplace_back();
    for (int64_t more : excess)
      left.ofClass.back().push_back(more <= slack);
  }
  return left;
}
