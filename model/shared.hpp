// A value that many objects have in common, held once: the name of a node in a hundred thousand endpoints. It never
// changes; copies are one pointer, and any thread may make and drop them.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace ipvsd {

template <class T>
class Shared {
 public:
  // T{}, at no cost.
  Shared() = default;
  explicit Shared(T value) : held_(new Held{std::move(value), {1}}) {}
  Shared(const Shared& other) noexcept : held_(other.held_) {
    if (held_ != nullptr) held_->uses.fetch_add(1, std::memory_order_relaxed);
  }
  Shared(Shared&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  Shared& operator=(Shared other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~Shared() {
    if (held_ != nullptr && held_->uses.fetch_sub(1, std::memory_order_acq_rel) == 1) delete held_;
  }

  [[nodiscard]] const T& operator*() const {
    static const T none{};
    return held_ == nullptr ? none : held_->value;
  }
  [[nodiscard]] const T* operator->() const { return &**this; }
  friend bool operator==(const Shared& a, const Shared& b) { return a.held_ == b.held_ || *a == *b; }

 private:
  struct Held {
    const T value;
    std::atomic<std::uint32_t> uses;
  };
  Held* held_ = nullptr;
};

}  // namespace ipvsd
