// Which rows failed, why, when they are tried again, and what has to wait for them. A retry carries no operation: it is
// computed anew from what is desired then. Pure; time and randomness are parameters.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <unordered_map>
#include <vector>

#include "reconcile/ledger.hpp"

namespace ipvsd {

// What an operation is about, and what others wait for. Of `key`, unset parts stand for all: an address with all its
// ports, a port on all addresses.
struct Subject {
  enum class Aspect : std::uint8_t {
    traffic,            // what reaches the frontend, and what serves it
    ownership,          // the set entries by which what lives under the key is known to be ours
    route,              // the route itself: waits for nothing
    removal_of_routes,  // of the family: waits until every address has been bound
  };
  VirtualServerKey key;
  Aspect aspect = Aspect::traffic;

  friend bool operator==(const Subject&, const Subject&) = default;
};

}  // namespace ipvsd

template <>
struct std::hash<ipvsd::Subject> {
  std::size_t operator()(const ipvsd::Subject& subject) const noexcept {
    return std::hash<ipvsd::VirtualServerKey>()(subject.key) * 4 + static_cast<std::size_t>(subject.aspect);
  }
};

namespace ipvsd {

class Retries {
 public:
  struct Entry {
    Error error;
    std::uint32_t attempts = 0;
    Instant due;
    bool waiting = false;  // false: handed out by take_due(), and nothing heard of it since
    std::vector<Subject> blocks;
  };

  explicit Retries(std::uint32_t seed) : random_(seed) {}

  // Delay 50 ms * 2^attempts, at most 30 s, less up to a quarter of it by chance; several failures of one row before
  // its retry are one attempt, and the first of them its error. Until then operations about `blocks` wait. Returns
  // whether this error is new for the row, so that it is logged once and not at every attempt.
  bool failed(const ObjectId& id, const Error& error, const std::vector<Subject>& blocks, Instant now);
  void succeeded(const ObjectId& id);
  [[nodiscard]] bool blocked(const Subject& subject) const { return blocks_.contains(subject); }

  // The rows whose time has come; they block nothing any more.
  [[nodiscard]] std::vector<ObjectId> take_due(Instant now);
  // Forgets the rows handed out that were not reported on: there was nothing left to do for them.
  void forget_settled();

  [[nodiscard]] std::optional<Instant> next_due() const;
  [[nodiscard]] const std::map<ObjectId, Entry>& entries() const { return entries_; }

 private:
  void unblock(Entry& entry);

  std::map<ObjectId, Entry> entries_;
  std::unordered_map<Subject, std::uint32_t> blocks_;
  std::mt19937 random_;
};

}  // namespace ipvsd
