// Keeps our iptables rules in the kernel, through the iptables programs: their exchange format has no other stable
// interface, and whoever else writes rules on the node uses them too. Slow (a process each call takes 5 to 150 ms):
// never on the path of a change. Not thread-safe, but free to live in a thread of its own.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "ipset/audit.hpp"
#include "ipset/rules.hpp"

namespace ipvsd {

// The two kernel interfaces that the programs are built for. A node should use one only; the kubelet, the network
// plugin and this daemon share chains.
enum class IptablesBackend : std::uint8_t { nft, legacy };
[[nodiscard]] std::string_view to_string(IptablesBackend backend);

// How sure a backend's rules make it that the node uses this backend.
enum class RuleEvidence : std::uint8_t { none, rules, kubernetes };
[[nodiscard]] RuleEvidence evidence_in(const std::vector<SavedTable>& tables);

// What a backend holds of a family, by reading alone; nothing where the kernel has no legacy tables loaded, because
// reading would load them. Errors as Iptables::save().
[[nodiscard]] Result<std::vector<SavedTable>> saved_tables(IptablesBackend backend, Family family);

class Iptables {
 public:
  // Without `backend`, each family's is found out at first use.
  explicit Iptables(std::optional<IptablesBackend> backend = {}) : forced_(backend) {}

  // The backend of a family: the one that already holds KUBE-* chains, else the one that holds any rules, else any
  // that works; nft if both are equal. Once one family's is known it is the other's too, if it works there. It must
  // also take a chain into table nat, which is tried: `iptables-nft -L` succeeds on kernels without nft NAT. A backend
  // that was given is only tried. Error: unsupported (or not_found: no such program), saying what was tried and what to
  // install; busy, denied or timed_out where it could not be found out now.
  [[nodiscard]] Result<IptablesBackend> backend(Family family);

  // The output of iptables-save, with counters. Error: as backend(); not_found without the program; denied, busy,
  // unsupported, timed_out, interrupted (it was killed).
  [[nodiscard]] Result<std::string> save(Family family);

  // Feeds iptables-restore --noflush. Each table is one transaction. Errors: busy if somebody held the lock for 5 s or
  // interfered (exit status 4), denied, timed_out, interrupted (it was killed), unsupported otherwise; with the line
  // that failed.
  [[nodiscard]] Result<void> restore(Family family, const std::string& text);

  // Makes our chains and jumps what they should be. The sets must exist. If it has to write again and again, somebody
  // else writes the same chains.
  struct Ensured {
    bool wrote = false;                          // something was missing or different
    std::optional<std::uint64_t> foreign_marks;  // Audit::foreign_marks, before anything was written
  };
  [[nodiscard]] Result<Ensured> ensure(Family family, const RulesConfig& config);

  // Removes our jumps and chains, from both backends unless one was given: they may have been written when the node
  // used the other one. Idempotent. Error: as save(), if no backend is there, or one could not be read or written.
  [[nodiscard]] Result<void> remove(Family family, Removal what = Removal::everything);

 private:
  std::optional<IptablesBackend> forced_;
  std::array<std::optional<IptablesBackend>, families.size()> found_;
};

// What iptables-restore's exit status and standard error mean; `text` is what it was fed. Pure.
[[nodiscard]] Error restore_error(int exit_status, std::string_view standard_error, std::string_view text);

}  // namespace ipvsd
