#include "ipset/audit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

namespace ipvsd {
namespace {

constexpr std::string_view shared_chain = "KUBE-MARK-MASQ";

// A line ends at a newline outside quotes: comments are printed with their line breaks.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}

  [[nodiscard]] bool done() const { return rest_.empty(); }
  // Where the line that next() gave begins; from 1.
  [[nodiscard]] std::size_t number() const { return number_; }

  // Error: malformed if the text ends inside a line.
  Result<std::string_view> next() {
    number_ += passed_;
    passed_ = 0;
    // Only rules have quotes; a comment line may hold a single one.
    const bool quotes = !rest_.starts_with('#');
    bool quoted = false;
    for (std::size_t i = 0; i < rest_.size(); ++i) {
      const char c = rest_[i];
      if (c == '\n') ++passed_;
      if (c == '\n' && !quoted) {
        const auto line = rest_.substr(0, i);
        rest_.remove_prefix(i + 1);
        return line;
      }
      if (quotes && quoted && c == '\\')
        ++i;
      else if (quotes && c == '"')
        quoted = !quoted;
    }
    return fail(Errc::malformed, fmt::format("iptables-save: line {}: breaks off", number_));
  }

 private:
  std::string_view rest_;
  std::size_t number_ = 1;
  std::size_t passed_ = 0;
};

// Takes the text up to the next space off `rest`, and the space.
std::string_view take_word(std::string_view& rest) {
  const auto word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(std::min(rest.size(), word.size() + 1));
  return word;
}

bool is_counters(std::string_view word) {
  const auto digits = [](std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  const auto colon = word.find(':');
  return word.size() > 2 && word.front() == '[' && word.back() == ']' && colon != std::string_view::npos &&
         digits(word.substr(1, colon - 1)) && digits(word.substr(colon + 1, word.size() - colon - 2));
}

// ":KUBE-SERVICES - [0:0]", of which the counters may be missing.
bool parse_chain(std::string_view line, SavedTable& table) {
  line.remove_prefix(1);
  const auto name = take_word(line);
  const auto policy = take_word(line);
  if (name.empty() || policy.empty() || (!line.empty() && !is_counters(line))) return false;
  table.chains.emplace_back(name);
  return true;
}

// "-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN", before which there may be counters.
bool parse_rule(std::string_view line, SavedTable& table) {
  std::uint64_t packets = 0;
  if (line.starts_with('[')) {
    const auto counters = take_word(line);
    if (!is_counters(counters)) return false;
    std::from_chars(counters.data() + 1, counters.data() + counters.size(), packets);
  }
  if (take_word(line) != "-A") return false;
  const auto chain = take_word(line);
  if (chain.empty()) return false;
  table.rules.push_back({std::string(chain), std::string(line), packets});
  return true;
}

// The chain a rule jumps or goes to; empty if it does neither. What is quoted is an argument, whatever it says.
std::string_view target_of(std::string_view rule) {
  std::string_view previous;
  for (std::size_t i = 0; i < rule.size();) {
    const auto begin = i;
    bool quoted = false;
    for (; i < rule.size() && (quoted || rule[i] != ' '); ++i) {
      if (quoted && rule[i] == '\\')
        ++i;
      else if (rule[i] == '"')
        quoted = !quoted;
    }
    const auto word = rule.substr(begin, i - begin);
    if (previous == "-j" || previous == "-g") return word;
    previous = word;
    ++i;
  }
  return {};
}

const SavedTable* find_table(const std::vector<SavedTable>& saved, Table table) {
  const auto found =
      std::find_if(saved.begin(), saved.end(), [&](const auto& one) { return one.name == to_string(table); });
  return found == saved.end() ? nullptr : &*found;
}

std::vector<std::string_view> rules_of(const SavedTable& table, std::string_view chain) {
  std::vector<std::string_view> rules;
  for (const auto& saved : table.rules)
    if (saved.chain == chain) rules.push_back(saved.rule);
  return rules;
}

bool has_chain(const SavedTable& table, std::string_view chain) {
  return std::find(table.chains.begin(), table.chains.end(), chain) != table.chains.end();
}

// A rule that somebody else wrote may be as long as he likes, and goes into a line of a log.
std::string_view shown(std::string_view rule) { return rule.substr(0, 256); }

// Empty if the chain is as it should be.
std::string difference(const Chain& chain, const SavedTable* table) {
  const auto place = fmt::format("{}/{}", to_string(chain.table), chain.name);
  if (table == nullptr || !has_chain(*table, chain.name)) return place + " does not exist";
  const auto found = rules_of(*table, chain.name);
  for (std::size_t i = 0; i < std::max(found.size(), chain.rules.size()); ++i) {
    const auto expected = i < chain.rules.size() ? std::string_view(chain.rules[i]) : "no rule";
    const auto present = i < found.size() ? found[i] : "no rule";
    if (expected != present)
      return fmt::format("{} rule {}: expected {}, found {}", place, i + 1, shown(expected), shown(present));
  }
  return {};
}

std::optional<std::uint64_t> packets_of(const SavedTable* table, const CountingRule& rule) {
  if (table == nullptr) return {};
  const auto found = std::find_if(table->rules.begin(), table->rules.end(), [&](const SavedRule& saved) {
    return saved.chain == rule.chain && saved.rule == rule.rule;
  });
  return found == table->rules.end() ? std::nullopt : std::optional(found->packets);
}

// What removes our part of one table; empty if there is none.
std::string removal_of(const SavedTable& table, const Rules& ours) {
  std::set<std::string_view> present;
  for (const auto& chain : ours.chains)
    if (to_string(chain.table) == table.name && has_chain(table, chain.name)) present.insert(chain.name);

  std::string jumps;
  std::set<std::string_view> shared;
  for (const auto& saved : table.rules) {
    const auto target = target_of(saved.rule);
    if (present.contains(saved.chain) || !present.contains(target)) continue;
    const bool is_jump = std::any_of(ours.jumps.begin(), ours.jumps.end(), [&](const Jump& jump) {
      return to_string(jump.table) == table.name && jump.from == saved.chain && jump.rule() == saved.rule;
    });
    if (is_jump)
      jumps += fmt::format("-D {} {}\n", saved.chain, saved.rule);
    else
      shared.insert(target);
  }
  if (shared.contains(shared_chain)) present.erase(shared_chain);
  if (present.empty()) return {};

  std::string text = fmt::format("*{}\n", table.name);
  for (const auto& chain : present) text += fmt::format(":{} - [0:0]\n", chain);
  text += jumps;
  for (const auto& chain : present)
    if (!shared.contains(chain)) text += fmt::format("-X {}\n", chain);
  return text + "COMMIT\n";
}

}  // namespace

Result<std::vector<SavedTable>> parse_save(std::string_view save_output) {
  std::vector<SavedTable> tables;
  bool open = false;
  Lines lines(save_output);
  while (!lines.done()) {
    const auto line = lines.next();
    if (!line) return fail(line.error());
    if (line->empty() || line->starts_with('#')) continue;
    bool understood = false;
    if (line->starts_with('*')) {
      const auto name = line->substr(1);
      const bool known =
          std::any_of(tables.begin(), tables.end(), [&](const auto& table) { return table.name == name; });
      understood = !open && !known && !name.empty();
      tables.push_back({std::string(name), {}, {}});
      open = true;
    } else if (*line == "COMMIT") {
      understood = std::exchange(open, false);
    } else if (line->starts_with(':')) {
      understood = open && parse_chain(*line, tables.back());
    } else {
      understood = open && parse_rule(*line, tables.back());
    }
    if (!understood)
      return fail(Errc::malformed, fmt::format("iptables-save: line {}: \"{}\" is not understood", lines.number(),
                                               line->substr(0, 128)));
  }
  if (open) return fail(Errc::malformed, fmt::format("iptables-save: table {} has no end", tables.back().name));
  return tables;
}

std::uint64_t CounterReading::advance(std::optional<std::uint64_t> read, bool begins_anew) {
  std::uint64_t more = 0;
  if (read && last_) more = *read >= *last_ ? *read - *last_ : *read;
  if (begins_anew)
    last_ = 0;
  else if (read)
    last_ = read;
  return more;
}

Result<Audit> audit(const Rules& rules, std::string_view save_output) {
  const auto saved = parse_save(save_output);
  if (!saved) return fail(saved.error());
  Audit result;
  for (const auto& chain : rules.chains)
    if (result.difference.empty()) result.difference = difference(chain, find_table(*saved, chain.table));
  result.chains_equal = result.difference.empty();
  if (rules.foreign_marks)
    result.foreign_marks = packets_of(find_table(*saved, rules.foreign_marks->table), *rules.foreign_marks);
  for (const auto& jump : rules.jumps) {
    const auto* table = find_table(*saved, jump.table);
    const auto present = table != nullptr ? rules_of(*table, jump.from) : std::vector<std::string_view>{};
    const auto times = std::count(present.begin(), present.end(), jump.rule());
    if (times == 0) result.missing_jumps.push_back(jump);
    for (auto more = times; more > 1; --more) result.surplus_jumps.push_back(jump);
    if (times != 1 && result.difference.empty())
      result.difference = fmt::format("{}/{} {} to {}", to_string(jump.table), jump.from,
                                      times == 0 ? "does not jump" : "jumps more than once", jump.to);
  }
  return result;
}

Result<std::string> removal_text(std::string_view save_output, Removal what) {
  const auto saved = parse_save(save_output);
  if (!saved) return fail(saved.error());
  // Names and jumps are the same in both families, whatever the configuration.
  auto ours = rules(Family::ipv4, {});
  if (what == Removal::own) {
    const auto of_kube_proxy = [](const auto& part) { return part.table != Table::mangle; };
    std::erase_if(ours.chains, of_kube_proxy);
    std::erase_if(ours.jumps, of_kube_proxy);
  }
  std::string text;
  for (const auto& table : *saved) text += removal_of(table, ours);
  return text;
}

}  // namespace ipvsd
