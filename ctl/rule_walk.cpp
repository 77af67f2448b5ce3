#include "ctl/rule_walk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace ipvsd::ctl {
namespace {

constexpr int depth_limit = 16;
// That match: chains which lead to each other by several rules have ways beyond number, and none of them is an answer.
constexpr std::size_t rule_limit = 4096;

enum class Answer : std::uint8_t { no, yes, unknown };

Answer operator!(Answer answer) {
  return answer == Answer::unknown ? answer : answer == Answer::yes ? Answer::no : Answer::yes;
}
Answer of(bool truth) { return truth ? Answer::yes : Answer::no; }

std::vector<std::string> words_of(std::string_view rule) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  for (std::size_t i = 0; i < rule.size(); ++i) {
    const char c = rule[i];
    if (quoted && c == '\\' && i + 1 < rule.size())
      word += rule[++i];
    else if (c == '"')
      quoted = !quoted;
    else if (c == ' ' && !quoted)
      words.push_back(std::exchange(word, {}));
    else
      word += c;
  }
  words.push_back(std::move(word));
  std::erase(words, "");
  return words;
}

std::optional<std::uint32_t> number(std::string_view text) {
  const int base = text.starts_with("0x") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return value;
}

// "0x4000/0x4000"; the mask may be missing.
struct MarkWords {
  std::uint32_t value = 0;
  std::uint32_t mask = 0xffffffff;
};
std::optional<MarkWords> mark_words(std::string_view text) {
  const auto slash = text.find('/');
  const auto value = number(text.substr(0, slash));
  const auto mask = slash == std::string_view::npos ? std::optional(0xffffffffU) : number(text.substr(slash + 1));
  if (!value || !mask) return {};
  return MarkWords{*value, *mask};
}

std::optional<Cidr> net_words(const std::string& text) {
  if (const auto cidr = Cidr::parse(text)) return *cidr;
  if (const auto address = IpAddress::parse(text)) return Cidr::of(*address, address->max_prefix());
  return {};
}

struct Rule {
  Answer matches = Answer::yes;
  std::string target;
  std::string mark;   // --set-xmark
  std::string marks;  // --map-set, with --map-mark
  std::string entry;  // of the set that matched
};

enum class Outcome : std::uint8_t { fell_through, returned, accepted, dropped, rejected, masqueraded };

class Walker {
 public:
  Walker(const Packet& packet, const RuleWorld& world, Walk& walk)
      : packet_(packet), world_(world), walk_(walk), vip_(packet.destination), vip_port_(packet.port) {}

  // A chain of the kernel's own: into ours where a rule leads there.
  Outcome base(std::string_view table, std::string_view chain) { return run(table, chain, 0, true); }

  void translate(const DestinationKey& backend) {
    packet_.destination = backend.address;
    packet_.port = backend.port;
  }

 private:
  Outcome run(std::string_view table_name, std::string_view chain, int depth, bool base) {
    const auto table = std::find_if(world_.tables.begin(), world_.tables.end(),
                                    [&](const SavedTable& one) { return one.name == table_name; });
    if (table == world_.tables.end() || depth > depth_limit) return Outcome::fell_through;
    for (const auto& saved : table->rules) {
      if (saved.chain != chain) continue;
      const auto rule = evaluate(saved.rule);
      const bool ours = rule.target.starts_with("KUBE-");
      if ((base && !ours) || rule.target.empty()) continue;
      if (rule.matches == Answer::no) continue;
      // What lets a client through by its address is taken to let it through where the address is not known.
      const bool assumed = rule.matches == Answer::unknown;
      if (assumed && rule.target != "RETURN" && rule.target != "ACCEPT") continue;
      if (rules_left_ == 0) return Outcome::fell_through;
      --rules_left_;
      if (!base)
        walk_.matched.push_back({std::string(table_name), std::string(chain), saved.rule, rule.entry, assumed});
      const auto outcome = ours ? run(table_name, rule.target, depth + 1, false) : apply(rule);
      if (ours && outcome == Outcome::returned) continue;
      if (outcome != Outcome::fell_through) return outcome;
    }
    return Outcome::fell_through;
  }

  Outcome apply(const Rule& rule) {
    if (rule.target == "RETURN") return Outcome::returned;
    if (rule.target == "ACCEPT") return Outcome::accepted;
    if (rule.target == "DROP") return Outcome::dropped;
    if (rule.target == "REJECT") return Outcome::rejected;
    if (rule.target == "MASQUERADE") return Outcome::masqueraded;
    // xt_set.c, set_target_v3(): as --set-xmark, by the entry.
    if (rule.target == "SET")
      if (const auto set = ip_set_by_name(rule.marks))
        if (const auto entry = find_entry(*set, packet_.destination, packet_.destination))
          walk_.mark = (walk_.mark & ~entry->mark.mask) ^ entry->mark.value;
    if (rule.target == "MARK")
      if (const auto mark = mark_words(rule.mark)) walk_.mark = (walk_.mark & ~mark->mask) ^ mark->value;
    return Outcome::fell_through;
  }

  Rule evaluate(const std::string& text) {
    Rule rule;
    const auto words = words_of(text);
    bool negated = false;
    for (std::size_t i = 0; i < words.size(); ++i) {
      const auto& word = words[i];
      const auto argument = i + 1 < words.size() ? words[i + 1] : std::string();
      if (word == "!") {
        negated = true;
        continue;
      }
      if (word == "-j" || word == "-g") {
        rule.target = argument;
      } else if (word == "--set-xmark") {
        rule.mark = argument;
      } else if (word == "--map-set") {
        rule.marks = argument;
        ++i;
      } else if (rule.target.empty() && word != "-m" && word != "--comment") {
        auto answer = word == "--match-set" ? in_set(argument, i + 2 < words.size() ? words[i + 2] : "", rule.entry)
                                            : match(word, argument);
        if (negated) answer = !answer;
        if (answer == Answer::no || (answer == Answer::unknown && rule.matches == Answer::yes)) rule.matches = answer;
        if (rule.matches == Answer::no) return rule;
        if (word == "--match-set") ++i;
      }
      negated = false;
      if (!takes_no_argument(word)) ++i;
    }
    return rule;
  }

  static bool takes_no_argument(std::string_view word) {
    return word == "--physdev-is-in" || word == "--physdev-is-out" || word == "--random-fully" || word == "--ipvs" ||
           word == "--map-mark" || word == "--map-prio" || word == "--map-queue";
  }

  Answer match(std::string_view option, const std::string& argument) const {
    if (option == "-p") {
      return of(is_protocol(argument));
    }
    if (option == "-s") return source_in(argument);
    if (option == "-d") {
      const auto net = net_words(argument);
      return net ? of(net->contains(packet_.destination)) : Answer::unknown;
    }
    if (option == "-i") return comes_in_by(argument);
    if (option == "--dport") return of(number(argument) == packet_.port.number);
    if (option == "--dst-type") return argument == "LOCAL" ? of(is_local(packet_.destination)) : Answer::unknown;
    if (option == "--src-type")
      return argument != "LOCAL" ? Answer::unknown
                                 : of(packet_.from_node || (packet_.source && is_local(*packet_.source)));
    if (option == "--physdev-is-in") return Answer::no;  // a packet that is routed
    if (option == "--ctstate") return of(("," + argument + ",").find(",NEW,") != std::string::npos);
    if (option == "--mark") {
      const auto mark = mark_words(argument);
      return mark ? of((walk_.mark & mark->mask) == mark->value) : Answer::unknown;
    }
    return ipvs_match(option, argument);
  }

  // By name or number.
  [[nodiscard]] bool is_protocol(const std::string& argument) const {
    const auto protocol = parse_protocol(argument);
    return protocol ? *protocol == packet_.protocol : number(argument) == static_cast<unsigned>(packet_.protocol);
  }

  // What IPVS remembers of the packet behind it: -m ipvs.
  Answer ipvs_match(std::string_view option, const std::string& argument) const {
    if (option == "--vaddr") {
      const auto net = net_words(argument);
      return net ? of(net->contains(vip_)) : Answer::unknown;
    }
    if (option == "--vport") return of(number(argument) == vip_port_.number);
    if (option == "--vproto") return of(is_protocol(argument));
    return Answer::unknown;
  }

  // A client that is not known is outside: in none of the networks that a rule names.
  Answer source_in(const std::string& argument) const {
    const auto net = net_words(argument);
    if (!net) return Answer::unknown;
    return of(packet_.source && net->contains(*packet_.source));
  }

  Answer comes_in_by(std::string_view name) const {
    if (packet_.from_node) return Answer::no;
    if (name.ends_with('+')) return of(packet_.link.starts_with(name.substr(0, name.size() - 1)));
    return of(packet_.link == name);
  }

  [[nodiscard]] bool is_local(const IpAddress& address) const {
    const auto routed = [&](const LocalRoute& route) { return route.destination.contains(address); };
    return address.is_loopback() || std::any_of(world_.routes.begin(), world_.routes.end(), routed) ||
           std::any_of(world_.addresses.begin(), world_.addresses.end(),
                       [&](const LinkAddress& one) { return one.address == address; });
  }

  // `directions`: "dst,dst,src".
  Answer in_set(const std::string& name, std::string_view directions, std::string& entry) const {
    const auto set = ip_set_by_name(name);
    if (!set || set->family != packet_.destination.family()) return set ? Answer::no : Answer::unknown;
    std::array<bool, 3> source{};
    for (std::size_t i = 0; i < source.size() && !directions.empty(); ++i) {
      source[i] = directions.starts_with("src");
      const auto comma = directions.find(',');
      directions.remove_prefix(comma == std::string_view::npos ? directions.size() : comma + 1);
    }
    const bool port_first = set->type() == SetType::bitmap_port;
    const bool wants_source =
        (source[0] && !port_first) ||
        (source[2] && (set->type() == SetType::hash_ip_port_ip || set->type() == SetType::hash_ip_port_net));
    if (wants_source && !packet_.source) return maybe_in_set(*set, source[0]);
    const auto& address = source[0] && !port_first ? *packet_.source : packet_.destination;
    const auto& second = source[2] ? *packet_.source : packet_.destination;
    const auto found = find_entry(*set, address, second);
    if (!found) return Answer::no;
    entry = fmt::format("{} {}", set->name(), found->element());
    return Answer::yes;
  }

  // The client's address decides, and it is not known; unless no entry could match whatever it is.
  [[nodiscard]] Answer maybe_in_set(IpSet set, bool source_first) const {
    if (source_first || set.kind == SetKind::loop_back) return Answer::no;
    return of(std::any_of(world_.entries.begin(), world_.entries.end(),
                          [&](const SetEntry& one) {
                            return one.set == set && one.address == packet_.destination &&
                                   one.protocol == packet_.protocol && one.port == packet_.port;
                          })) == Answer::yes
               ? Answer::unknown
               : Answer::no;
  }

  [[nodiscard]] std::optional<SetEntry> find_entry(IpSet set, const IpAddress& address, const IpAddress& second) const {
    // Entries that differ in their mark alone are one element; the unmarked one is the least of them.
    const auto exact = [&](const SetEntry& entry) -> std::optional<SetEntry> {
      const auto found = std::lower_bound(world_.entries.begin(), world_.entries.end(), entry);
      if (found == world_.entries.end()) return {};
      auto unmarked = *found;
      unmarked.mark = {};
      return unmarked == entry ? std::optional(*found) : std::nullopt;
    };
    switch (set.type()) {
      case SetType::bitmap_port: return exact(bitmap_entry(set, packet_.port));
      case SetType::hash_ip: return exact(ip_entry(set, address));
      case SetType::hash_ip_port: return exact(ip_port_entry(set, address, packet_.protocol, packet_.port));
      case SetType::hash_ip_port_ip:
        return exact(ip_port_ip_entry(set, address, packet_.protocol, packet_.port, second));
      case SetType::hash_ip_port_net: break;
    }
    for (const auto& entry : world_.entries)
      if (entry.set == set && entry.address == address && entry.protocol == packet_.protocol &&
          entry.port == packet_.port && Cidr::of(entry.second, entry.prefix).contains(second))
        return entry;
    return {};
  }

  Packet packet_;
  const RuleWorld& world_;
  Walk& walk_;
  IpAddress vip_;
  Port vip_port_;
  std::size_t rules_left_ = rule_limit;
};

// Whether the packet goes on behind the chain.
bool goes_on(Outcome outcome, Walk& walk) {
  if (outcome == Outcome::dropped) walk.verdict = Walk::Verdict::dropped;
  if (outcome == Outcome::rejected) walk.verdict = Walk::Verdict::rejected;
  return walk.verdict == Walk::Verdict::passed;
}

}  // namespace

std::string short_form(const MatchedRule& matched) {
  auto text = fmt::format("{} {}:", matched.table, matched.chain);
  const auto words = words_of(matched.rule);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool has_argument = i + 1 < words.size();
    if (words[i] == "-m" && has_argument && words[i + 1] != "conntrack") {
      ++i;
    } else if (words[i] == "--comment") {
      ++i;
    } else if (words[i] == "--match-set" && i + 2 < words.size()) {
      text += fmt::format(" [{}]", matched.entry.empty() ? words[i + 1] : matched.entry);
      i += 2;
    } else {
      text += " " + words[i];
    }
  }
  return matched.assumed ? text + " (if the client's address is in it)" : text;
}

Walk walk_rules(const Packet& packet, const RuleWorld& world, const std::optional<DestinationKey>& backend) {
  Walk walk;
  Walker walker(packet, world, walk);
  const auto* first = packet.from_node ? "OUTPUT" : "PREROUTING";
  if (!goes_on(walker.base("mangle", first), walk)) return walk;
  (void)walker.base("nat", first);
  if (!packet.from_node && !goes_on(walker.base("filter", "INPUT"), walk)) return walk;
  const auto seen = walk.mark;
  if (backend) {
    walker.translate(*backend);
    if (!goes_on(walker.base("filter", "OUTPUT"), walk)) return walk;
    walk.masqueraded = walker.base("nat", "POSTROUTING") == Outcome::masqueraded;
  }
  walk.mark = seen;
  return walk;
}

std::vector<SavedTable> saved_form(const Rules& rules) {
  std::vector<SavedTable> tables;
  const auto table_named = [&](std::string_view name) -> SavedTable& {
    for (auto& table : tables)
      if (table.name == name) return table;
    return tables.emplace_back(SavedTable{std::string(name), {}, {}});
  };
  // Each jump is inserted at the top of its chain, so the last is first.
  for (auto jump = rules.jumps.rbegin(); jump != rules.jumps.rend(); ++jump)
    table_named(to_string(jump->table)).rules.push_back({std::string(jump->from), jump->rule()});
  for (const auto& chain : rules.chains) {
    auto& table = table_named(to_string(chain.table));
    table.chains.push_back(chain.name);
    for (const auto& rule : chain.rules) table.rules.push_back({chain.name, rule});
  }
  return tables;
}

}  // namespace ipvsd::ctl
