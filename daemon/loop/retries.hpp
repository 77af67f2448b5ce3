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

// What an operation is about: one frontend (address, protocol, port), an address with all its ports, or a port on all
// addresses; unset parts stand for all.
using Subject = VirtualServerKey;

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
