#include "ipset/iptables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <vector>

#include "os/process.hpp"

namespace ipvsd {
namespace {

// iptables waits up to 5 s for the lock.
constexpr std::chrono::seconds deadline{30};
constexpr std::string_view wait_seconds = "5";
constexpr std::string_view probe_chain = "KUBE-IPVSD-PROBE";

std::string program(IptablesBackend backend, Family family, std::string_view action) {
  return fmt::format("{}-{}{}", family == Family::ipv4 ? "iptables" : "ip6tables", to_string(backend), action);
}

std::string trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  while (!text.empty() && (text.front() == '\n' || text.front() == ' ')) text.remove_prefix(1);
  std::string line(text.substr(0, 1024));
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

// As run_process() tells it.
std::string outcome(int exit_status) {
  return exit_status > 128 ? fmt::format("killed by signal {}", exit_status - 128)
                           : fmt::format("exit status {}", exit_status);
}

Errc meaning_of(int exit_status, std::string_view standard_error) {
  for (const auto* denied : {"ermission denied", "not permitted", "must be root"})
    if (standard_error.find(denied) != std::string_view::npos) return Errc::denied;
  // iptables' RESOURCE_PROBLEM: the lock, or a generation that moved on; but nft reports so, too, that the kernel has
  // no such extension, or no NAT at all.
  for (const auto* missing : {"No such file or directory", "not supported"})
    if (standard_error.find(missing) != std::string_view::npos) return Errc::unsupported;
  // A program that was killed says nothing of the kernel.
  if (exit_status > 128) return Errc::interrupted;
  return exit_status == 4 ? Errc::busy : Errc::unsupported;
}

// The line number that legacy ("Error occurred at line: 3", "line 3 failed") and nft ("line 3: RULE_APPEND failed")
// print; 0 if there is none.
std::size_t failed_line(std::string_view standard_error) {
  constexpr std::string_view word = "line";
  for (auto at = standard_error.find(word); at != std::string_view::npos; at = standard_error.find(word, at + 1)) {
    auto rest = standard_error.substr(at + word.size());
    while (!rest.empty() && (rest.front() == ':' || rest.front() == ' ')) rest.remove_prefix(1);
    std::size_t number = 0;
    if (std::from_chars(rest.data(), rest.data() + rest.size(), number).ec == std::errc{}) return number;
  }
  return 0;
}

std::string_view line_of(std::string_view text, std::size_t number) {
  for (std::size_t line = 1; !text.empty(); ++line) {
    const auto end = text.find('\n');
    if (line == number) return text.substr(0, end);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return {};
}

// Error not_found: the program is not installed.
Result<std::string> run_save(IptablesBackend backend, Family family) {
  const auto name = program(backend, family, "-save");
  auto result = run_process({name, "-c"}, "", deadline);
  if (!result && result.error().code == Errc::not_found)
    return fail(Errc::not_found, name + ": not found; apt install iptables");
  if (!result) return fail(std::move(result.error()));
  if (result->exit_status != 0)
    return fail(meaning_of(result->exit_status, result->err),
                fmt::format("{}: {}: {}", name, outcome(result->exit_status), trimmed(result->err)));
  return std::move(result->out);
}

Result<void> run_restore(IptablesBackend backend, Family family, const std::string& text) {
  const auto name = program(backend, family, "-restore");
  const auto result = run_process({name, "--noflush", "-w", std::string(wait_seconds)}, text, deadline);
  if (!result) return fail(result.error());
  if (result->exit_status != 0) return fail(restore_error(result->exit_status, result->err, text).within(name));
  return {};
}

// Whether the kernel does NAT this way. Listing is proof for legacy, which loads the table for it; nft lists tables
// that it cannot create, so there a chain is made and removed again.
Result<void> probe(IptablesBackend backend, Family family) {
  const auto name = program(backend, family, "");
  const auto call = [&](std::string_view verb, std::string_view chain) {
    return run_process({name, "-w", std::string(wait_seconds), "-t", "nat", std::string(verb), std::string(chain)}, "",
                       deadline);
  };
  const bool nft = backend == IptablesBackend::nft;
  const auto tried = nft ? call("-N", probe_chain) : call("-S", "PREROUTING");
  if (!tried && tried.error().code == Errc::not_found)
    return fail(Errc::not_found, name + ": not found; apt install iptables");
  if (!tried) return fail(tried.error());
  // A chain that a killed predecessor left behind proves as much.
  const bool left_over = nft && tried->err.find("exists") != std::string::npos;
  if (tried->exit_status != 0 && !left_over)
    return fail(meaning_of(tried->exit_status, tried->err),
                fmt::format("{}: table nat takes no chain: {}", name, trimmed(tried->err)));
  if (!nft) return {};
  const auto removed = call("-X", probe_chain);
  if (!removed) return fail(removed.error());
  return {};
}

// The kernel names the legacy tables that exist; without any there are no rules to look at.
bool legacy_tables_loaded(Family family) {
  std::ifstream names(family == Family::ipv4 ? "/proc/net/ip_tables_names" : "/proc/net/ip6_tables_names");
  std::string name;
  return static_cast<bool>(names >> name);
}

struct Candidate {
  IptablesBackend backend;
  RuleEvidence evidence;
};

Result<IptablesBackend> detect(Family family) {
  std::vector<Candidate> candidates;
  std::string reasons;
  bool installed = false;
  auto worst = Errc::unsupported;
  const auto rejected = [&](const Error& error) {
    reasons += (reasons.empty() ? "" : "; ") + error.context;
    installed = installed || error.code != Errc::not_found;
    // Only "unsupported" says something about the kernel; anything else may be otherwise in a moment.
    if (error.code != Errc::not_found && error.code != Errc::unsupported) worst = error.code;
  };
  for (const auto backend : {IptablesBackend::nft, IptablesBackend::legacy}) {
    const auto tables = saved_tables(backend, family);
    if (tables)
      candidates.push_back({backend, evidence_in(*tables)});
    else
      rejected(tables.error());
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.evidence > b.evidence; });
  for (const auto& candidate : candidates) {
    const auto works = probe(candidate.backend, family);
    if (works) return candidate.backend;
    rejected(works.error());
  }
  if (!installed)
    return fail(Errc::unsupported,
                fmt::format("no {} or {} found: apt install iptables", program(IptablesBackend::legacy, family, ""),
                            program(IptablesBackend::nft, family, "")));
  return fail(worst, fmt::format("no iptables backend works for {}: {}", to_string(family), reasons));
}

}  // namespace

RuleEvidence evidence_in(const std::vector<SavedTable>& tables) {
  auto evidence = RuleEvidence::none;
  for (const auto& table : tables) {
    for (const auto& chain : table.chains)
      if (chain.starts_with("KUBE-") && chain != probe_chain) return RuleEvidence::kubernetes;
    if (!table.rules.empty()) evidence = RuleEvidence::rules;
  }
  return evidence;
}

Result<std::vector<SavedTable>> saved_tables(IptablesBackend backend, Family family) {
  if (backend == IptablesBackend::legacy && !legacy_tables_loaded(family)) return {};
  const auto text = run_save(backend, family);
  return text ? parse_save(*text) : fail(text.error());
}

std::string_view to_string(IptablesBackend backend) { return backend == IptablesBackend::nft ? "nft" : "legacy"; }

Error restore_error(int exit_status, std::string_view standard_error, std::string_view text) {
  auto context = fmt::format("{}: {}", outcome(exit_status), trimmed(standard_error));
  const auto line = line_of(text, failed_line(standard_error));
  if (!line.empty()) context += fmt::format("; in \"{}\"", line.substr(0, 256));
  return {meaning_of(exit_status, standard_error), 0, std::move(context)};
}

Result<IptablesBackend> Iptables::backend(Family family) {
  auto& known = found_.at(static_cast<std::size_t>(family));
  if (known) return *known;
  if (forced_) {
    if (const auto works = probe(*forced_, family); !works) return fail(works.error());
    known = *forced_;
    return *known;
  }
  // A node uses one backend for both families, so the other family's is tried first.
  const auto& other = found_.at(1 - static_cast<std::size_t>(family));
  if (other && probe(*other, family)) {
    known = *other;
    return *known;
  }
  const auto detected = detect(family);
  if (detected) known = *detected;
  return detected;
}

Result<std::string> Iptables::save(Family family) {
  const auto found = backend(family);
  if (!found) return fail(found.error());
  return run_save(*found, family);
}

Result<void> Iptables::restore(Family family, const std::string& text) {
  const auto found = backend(family);
  if (!found) return fail(found.error());
  return run_restore(*found, family, text);
}

Result<Iptables::Ensured> Iptables::ensure(Family family, const RulesConfig& config) {
  const auto wanted = rules(family, config);
  const auto saved = save(family);
  if (!saved) return fail(saved.error());
  const auto found = audit(wanted, *saved);
  if (!found) return fail(found.error());
  if (found->clean()) return Ensured{false, found->foreign_marks};
  if (auto written = restore(family, restore_text(wanted, found->missing_jumps, found->surplus_jumps)); !written)
    return fail(std::move(written.error()));
  return Ensured{true, found->foreign_marks};
}

Result<void> Iptables::remove(Family family, Removal what) {
  Result<void> outcome;
  bool any_read = false;
  for (const auto backend : {IptablesBackend::nft, IptablesBackend::legacy}) {
    if (forced_ && *forced_ != backend) continue;
    const auto saved = run_save(backend, family);
    if (!saved) {
      // A backend that is not there holds no rules of ours; one that cannot be read might.
      if (saved.error().code != Errc::not_found && saved.error().code != Errc::unsupported) return fail(saved.error());
      if (outcome) outcome = fail(saved.error());
      continue;
    }
    const auto text = removal_text(*saved, what);
    if (!text) return fail(text.error());
    if (!text->empty())
      if (auto removed = run_restore(backend, family, *text); !removed) return removed;
    any_read = true;
  }
  return any_read ? Result<void>{} : outcome;
}

}  // namespace ipvsd
