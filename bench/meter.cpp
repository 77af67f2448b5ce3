#include "bench/meter.hpp"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>

#include "bench/allocations.hpp"

namespace ipvsd::bench {
namespace {

double seconds(const timespec& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

double read_clock(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return seconds(time);
}

}  // namespace

Usage usage() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return {read_clock(CLOCK_PROCESS_CPUTIME_ID), read_clock(CLOCK_MONOTONIC), static_cast<std::uint64_t>(used.ru_minflt),
          allocations()};
}

double thread_cpu(pthread_t thread) {
  clockid_t clock{};
  ::pthread_getcpuclockid(thread, &clock);
  return read_clock(clock);
}

double resident_mib() {
  long pages = 0;
  long resident = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

double peak_resident_mib() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_maxrss) / 1024;
}

}  // namespace ipvsd::bench
