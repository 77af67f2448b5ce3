// This process gets no new file descriptor while one of these lives.
#pragma once

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <string>

#include "daemon/serve/metrics.hpp"

namespace ipvsd::test {

#ifndef __has_feature
#define __has_feature(feature) 0  // clang's
#endif

class NoDescriptors {
 public:
  // Not under UBSan: it makes a pipe to look at the type of an object, and takes the lack of one for a wrong type.
  // Tests that use this do nothing there; the builds without it run them.
  static constexpr bool possible = !__has_feature(undefined_behavior_sanitizer);

  // From `first` on; what is open stays so. Below 3 are standard input, output and error.
  explicit NoDescriptors(int first = 3) {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    rlimit none = before_;
    none.rlim_cur = static_cast<rlim_t>(first);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

// How often a server has found none for its next connection.
inline double accept_failures(const Metrics& metrics) {
  constexpr std::string_view name = "\nkube_ipvsd_accept_failures_total ";
  const auto text = metrics.text();
  return std::stod(text.substr(text.find(name) + name.size()));
}

}  // namespace ipvsd::test
