#include "daemon/serve/other_proxy.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "os/fd.hpp"
#include "os/sockaddr.hpp"

namespace ipvsd {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t answer_limit = 8192;

bool wait_for(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd poll{fd, events, 0};
    const int ready = left > 0 ? ::poll(&poll, 1, static_cast<int>(left)) : 0;
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0;
  }
}

// No socket at all is an error; no IPv6 in this kernel is nobody there.
Result<Fd> connect_to(const SocketAddress& address, Clock::time_point deadline) {
  Fd fd(::socket(to_af(address.address.family()), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd && errno == EAFNOSUPPORT) return Fd();
  if (!fd) return fail_errno(errno, fmt::format("ask {} for another proxy", address.to_string()));
  const auto to = to_sockaddr(address.address, address.port);
  if (::connect(fd.get(), to.get(), to.size) == 0) return fd;
  if (errno != EINPROGRESS || !wait_for(fd.get(), POLLOUT, deadline)) return Fd();
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0) return Fd();
  return fd;
}

// The whole answer as far as it comes in time. httplib's client limits each read, not the whole.
std::string exchange(const Fd& fd, const std::string& request, Clock::time_point deadline) {
  if (!wait_for(fd.get(), POLLOUT, deadline)) return {};
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return {};
  std::string answer;
  std::array<char, 1024> buffer;
  while (answer.size() < answer_limit && wait_for(fd.get(), POLLIN, deadline)) {
    const ssize_t size = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (size <= 0) break;
    answer.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return answer;
}

// Whether both see the same network namespace. Its link /proc/PID/ns/net cannot be read without CAP_SYS_PTRACE; what is
// below /proc/PID/net are files of that namespace, and each has a number of its own (fs/proc/proc_net.c).
bool same_network(const std::filesystem::path& process) {
  struct stat theirs {};
  struct stat ours {};
  return ::stat((process / "net/dev").c_str(), &theirs) != 0 || ::stat("/proc/self/net/dev", &ours) != 0 ||
         theirs.st_ino == ours.st_ino;
}

using Found = std::optional<std::string>;

Result<Found> running_kube_proxy() {
  const auto processes = proxy_processes();
  if (!processes) return fail(processes.error().within("look for another proxy"));
  for (const auto& process : *processes)
    if (process.name == "kube-proxy") return Found(fmt::format("kube-proxy runs here (process {})", process.pid));
  return Found();
}

Result<Found> find_another(const std::vector<Probe>& probes) {
  auto answering = ask_probes(probes);
  return !answering || *answering ? answering : running_kube_proxy();
}

}  // namespace

std::string proxy_mode_of(std::string_view answer) {
  constexpr std::string_view line = "HTTP/1.? 200";
  const auto end = answer.find("\r\n\r\n");
  if (end == std::string_view::npos || end < line.size()) return {};
  if (!answer.starts_with("HTTP/1.") || answer.substr(8, 4) != " 200") return {};
  const auto body = answer.substr(end + 4, 32);
  const bool word = std::all_of(body.begin(), body.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  return word ? std::string(body) : std::string();
}

std::vector<Probe> other_proxy_probes(const Config& config) {
  const auto ipv4_loopback = *IpAddress::parse("127.0.0.1");
  std::vector<Probe> probes{{{ipv4_loopback, Port{10249}}, "/proxyMode"}, {{ipv4_loopback, Port{10256}}, "/healthz"}};
  const auto add = [&](const std::optional<SocketAddress>& configured, const char* path) {
    if (!configured) return;
    Probe probe{*configured, path};
    if (probe.address.address.is_unspecified())
      probe.address.address = probe.address.address.family() == Family::ipv4 ? ipv4_loopback : *IpAddress::parse("::1");
    if (std::find(probes.begin(), probes.end(), probe) == probes.end()) probes.push_back(std::move(probe));
  };
  add(config.metrics, "/proxyMode");
  add(config.healthz, "/healthz");
  return probes;
}

Result<std::optional<std::string>> ask_probes(const std::vector<Probe>& probes, std::chrono::milliseconds each) {
  for (const auto& probe : probes) {
    const auto deadline = Clock::now() + each;
    const auto fd = connect_to(probe.address, deadline);
    if (!fd) return fail(fd.error());
    if (!*fd) continue;
    const auto address = probe.address.to_string();
    const auto answer = exchange(
        *fd, fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", probe.path, address), deadline);
    if (!answer.starts_with("HTTP/1."))
      return Found(fmt::format("{} accepts connections, but gives no HTTP answer", address));
    const auto mode = probe.path == "/proxyMode" ? proxy_mode_of(answer) : std::string();
    return Found(mode.empty() ? fmt::format("{} answers", address)
                              : fmt::format("{} answers (proxyMode {})", address, mode));
  }
  return Found();
}

Result<std::vector<ProxyProcess>> proxy_processes() {
  constexpr std::array<std::string_view, 3> names{"kube-proxy", "kube-router", "keepalived"};
  std::vector<ProxyProcess> found;
  std::error_code error;
  for (std::filesystem::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
    errno = 0;
    std::ifstream comm(at->path() / "comm");
    // One that has ended meanwhile has no name.
    if (!comm && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
      return fail_errno(errno, fmt::format("read {}/comm", at->path().string()));
    std::string name;
    std::getline(comm, name);
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    if (same_network(at->path())) found.push_back({std::atoi(at->path().filename().c_str()), name});
  }
  if (error) return fail_errno(error.value(), "read /proc");
  std::sort(found.begin(), found.end(), [](const ProxyProcess& a, const ProxyProcess& b) { return a.pid < b.pid; });
  return found;
}

std::optional<std::string> another_proxy(const Config& config) {
  auto found = find_another(other_proxy_probes(config));
  if (!found) return fmt::format("whether another proxy lives here cannot be told: {}", found.error().message());
  return *found;
}

Result<std::optional<std::string>> another_proxy_beside_us(const Config& config) {
  auto probes = other_proxy_probes(config);
  const auto ours = [](const std::optional<SocketAddress>& bound, const SocketAddress& asked) {
    return bound && bound->port == asked.port && (bound->address == asked.address || bound->address.is_unspecified());
  };
  std::erase_if(probes, [&](const Probe& probe) {
    return ours(config.healthz, probe.address) || ours(config.metrics, probe.address);
  });
  return find_another(probes);
}

}  // namespace ipvsd
