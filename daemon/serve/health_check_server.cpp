#include "daemon/serve/health_check_server.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "daemon/serve/health_check_answer.hpp"
#include "os/sockaddr.hpp"

namespace ipvsd {
namespace {

using std::chrono::seconds;

constexpr seconds longest_pause{60};
constexpr std::uint64_t wake_id = 0;

void switch_on(int socket, int level, int option) {
  const int on = 1;
  ::setsockopt(socket, level, option, &on, sizeof on);
}

}  // namespace

HealthCheckServer::HealthCheckServer(const HealthState& health, Metrics& metrics, Shortage& shortage, Failed failed)
    : health_(health), metrics_(metrics), shortage_(shortage), failed_(std::move(failed)) {}

HealthCheckServer::~HealthCheckServer() { stop(); }

Result<void> HealthCheckServer::start() {
  epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !wake_ || !watch(epoll_, wake_, EPOLLIN, wake_id)) return fail_errno(errno, "health checks: epoll");
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    return fail(Errc::busy, "health checks: their thread could not be started");
  }
  return {};
}

void HealthCheckServer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  if (wake_) ::eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

void HealthCheckServer::publish(std::vector<HealthCheckChange> changes, const ListenAddresses& addresses) {
  {
    const std::lock_guard lock(mutex_);
    for (auto& change : changes) published_.insert_or_assign(std::move(change.service), std::move(change.check));
    published_addresses_ = addresses;
  }
  ::eventfd_write(wake_.get(), 1);
}

void HealthCheckServer::run() {
  for (;;) {
    std::array<epoll_event, 64> events{};
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout_ms(Clock::now()));
    for (int i = 0; i < count; ++i) {
      const auto id = events[static_cast<std::size_t>(i)].data.u64;
      if (id == wake_id) continue;
      if (const auto listening = listening_.find(id); listening != listening_.end())
        accept(listening->second);
      else
        connections_.on_event(id);  // if it has not made room for another
    }
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    const auto now = Clock::now();
    connections_.expire(now);
    take_published();
    retry(now);
  }
}

int HealthCheckServer::timeout_ms(Clock::time_point now) const {
  Clock::time_point next = std::min(now + longest_pause, connections_.due());
  for (const auto& [service, check] : checks_)
    if (check.attempts > 0) next = std::min(next, check.retry);
  return static_cast<int>(std::max<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(next - now).count(), 0));
}

void HealthCheckServer::take_published() {
  eventfd_t woken = 0;
  (void)::eventfd_read(wake_.get(), &woken);
  if (woken == 0) return;
  std::map<ObjectKey, std::optional<HealthCheck>> changes;
  ListenAddresses addresses;
  {
    const std::lock_guard lock(mutex_);
    changes.swap(published_);
    addresses = published_addresses_;
  }
  const bool moved = std::exchange(addresses_, addresses) != addresses;
  // A port may pass from one Service to another: what closes comes before what opens.
  for (const auto& [service, check] : changes) {
    const auto known = checks_.find(service);
    if (known == checks_.end() || (check && check->port == known->second.check.port)) continue;
    std::erase_if(listening_, [&owner = service](const auto& item) { return item.second.service == owner; });
    if (!check) checks_.erase(known);
  }
  for (const auto& [service, check] : changes) {
    if (!check) continue;
    auto& known = checks_[service];
    if (known.check.port != check->port) known = {};
    known.check = *check;
    if (!moved) serve(service, known);
  }
  if (moved)
    for (auto& [service, check] : checks_) serve(service, check);
  report();
}

void HealthCheckServer::retry(Clock::time_point now) {
  bool tried = false;
  for (auto& [service, check] : checks_) {
    if (check.attempts == 0 || check.retry > now) continue;
    serve(service, check);
    tried = true;
  }
  if (tried) report();
}

std::vector<IpAddress> HealthCheckServer::wanted_addresses(const HealthCheck& check) const {
  std::vector<IpAddress> wanted;
  for (const auto family : families) {
    const auto at = static_cast<std::size_t>(family);
    if (!check.local_endpoints[at]) continue;
    if (addresses_.any[at]) wanted.push_back(IpAddress::any(family));
    for (const auto& address : addresses_.addresses)
      if (address.family() == family) wanted.push_back(address);
  }
  return wanted;
}

void HealthCheckServer::serve(const ObjectKey& service, Check& check) {
  auto missing = wanted_addresses(check.check);
  std::erase_if(listening_, [&](const auto& item) {
    return item.second.service == service && std::erase(missing, item.second.address) == 0;
  });
  std::string failure;
  for (const auto& address : missing)
    if (const auto listened = listen_on(service, address, check.check.port); !listened && failure.empty())
      failure = listened.error().message();
  if (failure.empty()) {
    check.attempts = 0;
    check.failure.clear();
    return;
  }
  check.retry = Clock::now() + std::min(longest_pause, seconds(1) * (1 << std::min(check.attempts, 6U)));
  ++check.attempts;
  if (std::exchange(check.failure, failure) != failure) failed_(service, check.check.uid, failure);
}

Result<void> HealthCheckServer::listen_on(const ObjectKey& service, const IpAddress& address, Port port) {
  const auto what =
      fmt::format("health check of Service {}: listen on {}", service.to_string(), format_socket(address, port));
  Fd fd(::socket(to_af(address.family()), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, what);
  switch_on(fd.get(), SOL_SOCKET, SO_REUSEADDR);
  if (address.family() == Family::ipv6) switch_on(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  const auto to = to_sockaddr(address, port);
  if (::bind(fd.get(), to.get(), to.size) != 0 || ::listen(fd.get(), SOMAXCONN) != 0) {
    const int error = errno;
    return fail_errno(error, error == EADDRINUSE ? what + ": another process, or Service, has this port" : what);
  }
  const auto id = next_id_++;
  if (!watch(epoll_, fd, EPOLLIN, id)) return fail_errno(errno, what);
  listening_.emplace(id, Listening{service, address, port, std::move(fd)});
  return {};
}

void HealthCheckServer::report() {
  const auto failing =
      std::count_if(checks_.begin(), checks_.end(), [](auto& item) { return item.second.attempts > 0; });
  metrics_.set_health_checks(checks_.size(), static_cast<std::size_t>(failing));
}

void HealthCheckServer::accept(const Listening& listening) {
  connections_.accept(listening.fd, listening.service.to_string(),
                      [this, service = listening.service, family = listening.address.family()](
                          const std::string& request) { return answer(service, family, request); });
}

std::string HealthCheckServer::answer(const ObjectKey& service, Family family, const std::string& request) {
  const auto known = checks_.find(service);
  if (known == checks_.end()) return {};
  const auto count = known->second.check.local_endpoints[static_cast<std::size_t>(family)];
  if (!count) return {};
  const HealthCheckState state{service, *count, health_.answer(Moment::now()).healthy};
  metrics_.health_check_served(state.ok());
  return health_check_answer(state, std::chrono::system_clock::now(), request.starts_with("HEAD "));
}

}  // namespace ipvsd
