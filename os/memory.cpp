#include "os/memory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <new>

#include "os/fd.hpp"

namespace ipvsd {
namespace {

constexpr unsigned long mebi = 1U << 20;

struct Pages {
  unsigned long all = 0;
  unsigned long resident = 0;
};

Pages pages() {
  std::array<char, 128> text{};
  const Fd statm(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  Pages found;
  if (::read(statm.get(), text.data(), text.size() - 1) > 0)
    std::sscanf(text.data(), "%lu %lu", &found.all, &found.resident);
  return found;
}

// MiB; 0 is no limit.
unsigned long limit_of(__rlimit_resource_t resource) {
  rlimit limit{};
  ::getrlimit(resource, &limit);
  return limit.rlim_cur == RLIM_INFINITY ? 0 : limit.rlim_cur / mebi;
}

// Without allocating anything.
void tell() {
  const auto [all, resident] = pages();
  const auto page = static_cast<unsigned long>(::sysconf(_SC_PAGESIZE));
  std::array<char, 512> line;
  const auto end = fmt::format_to_n(
      line.data(), line.size(),
      "kube-ipvsd: out of memory with {} MiB resident and {} MiB of address space; limits in MiB (0: none): address "
      "space {}, data {}; raise LimitAS and LimitDATA (ulimit -v, -d), or see vm.overcommit_memory\n",
      resident * page / mebi, all * page / mebi, limit_of(RLIMIT_AS), limit_of(RLIMIT_DATA));
  (void)!::write(STDERR_FILENO, line.data(), static_cast<std::size_t>(end.out - line.data()));
}

void out_of_memory() {
  using namespace std::chrono;
  static std::atomic<std::int64_t> quiet_until{0};
  const auto now = duration_cast<seconds>(steady_clock::now().time_since_epoch()).count();
  if (quiet_until.exchange(now + 60) <= now) tell();
  throw std::bad_alloc();
}

}  // namespace

void tell_when_memory_runs_out() { std::set_new_handler(out_of_memory); }

}  // namespace ipvsd
