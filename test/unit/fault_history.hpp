// Histories of a node's life as data: what the cluster does, what goes wrong, and when the daemon runs. They come from
// a seed, can be carried out on any kernel, and be made shorter as long as they still fail.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "test/fake/faulty_kernel.hpp"
#include "test/unit/random_cluster.hpp"

namespace ipvsd::test {

struct Work {};     // the daemon does a piece of what waits
struct Restart {};  // it is killed and started
struct Trouble {
  std::uint32_t seed;
  unsigned rate;  // one call in so many goes wrong, until Calm
};
// No more faults: from here on all must come right in a bounded number of passes and operations.
struct Calm {};
// Somebody does this to the kernel behind the daemon's back.
struct Hand {
  enum class What {
    removes_server,
    removes_destination,
    removes_address,
    removes_entry,
    adds_destination,
    removes_link
  };
  What what;
  std::uint32_t choice;
};
using Step = std::variant<Change, Work, Restart, Trouble, Calm, Hand>;
using History = std::vector<Step>;

[[nodiscard]] History random_fault_history(std::uint32_t seed, int length);
[[nodiscard]] std::string to_text(const History& history);

// A kernel to carry a history out on: of a node with the address 192.168.77.2, and nothing else in it.
struct Site {
  virtual ~Site() = default;
  [[nodiscard]] virtual Kernel& kernel() = 0;
  // Takes the link and the sets away, as far as this kernel lets anybody.
  virtual void remove_link() = 0;
  // Faults of its own, below those of FaultyKernel.
  virtual void trouble(std::uint32_t, unsigned) {}
  virtual void calm() {}
  // What it keeps for tests and nobody asks for.
  virtual void forget() {}
};
using MakeSite = std::function<std::unique_ptr<Site>()>;
[[nodiscard]] std::unique_ptr<Site> fake_site();

struct Outcome {
  std::string failure;  // "": all was as it must be
  std::uint64_t faults = 0;
  std::size_t most_passes = 0;      // from a Calm to the end of all work, at 100 ms each
  std::size_t most_operations = 0;  // likewise
};
// What must hold: after each Calm, within bounds, the kernel is what a computation from scratch says, and the foreign
// virtual servers in it too; nobody touches these, ever; and a Service that nothing happens to loses nothing, whatever
// the faults. In the end, when all objects go, nothing is left, in the kernel or in the daemon.
[[nodiscard]] Outcome carry_out(const History& history, const MakeSite& make_site, const Policy& policy);
// Every other history is of a node that knows who is outside.
[[nodiscard]] Policy policy_of(std::uint32_t seed);

// One daemon lives through the same history so many times, without its restarts; the bytes that the process has in use
// when all objects are gone, after each. What must hold is checked too, and is a failure of the last outcome.
struct Lives {
  Outcome outcome;
  std::vector<std::size_t> bytes;
};
[[nodiscard]] Lives live_through(const History& history, int times, const MakeSite& make_site, const Policy& policy);

// The shortest history found, by leaving steps out, that still fails.
[[nodiscard]] History minimised(History history, const MakeSite& make_site, const Policy& policy);

// Bytes that this process has from malloc() and not given back; 0 where a sanitizer does that.
[[nodiscard]] std::size_t bytes_in_use();

}  // namespace ipvsd::test
