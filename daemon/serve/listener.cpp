#include "daemon/serve/listener.hpp"

#include <fmt/format.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "daemon/serve/connections.hpp"
#include "daemon/serve/http_request.hpp"
#include "os/sockaddr.hpp"

namespace ipvsd {
namespace {

constexpr std::size_t connection_limit = 256;
constexpr std::uint64_t stop_id = 0;
constexpr std::uint64_t listening_id = 1;

// A request that is all there, and room for its answer.
class TextStream final : public httplib::Stream {
 public:
  explicit TextStream(std::string_view request) : left_(request) {}
  [[nodiscard]] bool is_readable() const override { return true; }
  [[nodiscard]] bool is_writable() const override { return true; }
  ssize_t read(char* into, std::size_t size) override {
    const auto taken = left_.copy(into, size);
    left_.remove_prefix(taken);
    return static_cast<ssize_t>(taken);
  }
  ssize_t write(const char* from, std::size_t size) override {
    written_.append(from, size);
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  [[nodiscard]] socket_t socket() const override { return 0; }
  [[nodiscard]] std::string& written() { return written_; }

 private:
  std::string_view left_;
  std::string written_;
};

Port port_of(const Sockaddr& address) {
  const auto& as_ipv4 = reinterpret_cast<const sockaddr_in&>(address.storage);
  const auto& as_ipv6 = reinterpret_cast<const sockaddr_in6&>(address.storage);
  return Port{ntohs(address.storage.ss_family == AF_INET ? as_ipv4.sin_port : as_ipv6.sin6_port)};
}

}  // namespace

HttpAnswer not_found_answer() { return {404, "text/plain; charset=utf-8", "404 page not found\n"}; }

// httplib reads the request and writes the answer. Its own way to serve connections takes a thread for each: as many
// slow clients as it has threads would keep probes waiting.
class Listener::Answers final : public httplib::Server {
 public:
  explicit Answers(Responder responder) {
    set_pre_routing_handler(
        [responder = std::move(responder)](const httplib::Request& request, httplib::Response& response) {
          auto answer = responder(request.path, request.has_param("verbose"));
          response.status = answer.status;
          response.set_header("X-Content-Type-Options", "nosniff");
          response.set_content(std::move(answer.body), answer.content_type);
          return HandlerResponse::Handled;
        });
    // kube-proxy's answers do not have it, and HTTP/1.1 lets a server close at any time.
    set_post_routing_handler(
        [](const httplib::Request&, httplib::Response& response) { response.headers.erase("Connection"); });
  }

  [[nodiscard]] std::string to(const std::string& request) {
    TextStream stream(request);
    bool closed = false;
    (void)process_request(stream, true, closed, nullptr);
    return stream.written().empty() ? bad_request_answer() : std::move(stream.written());
  }
};

Listener::Listener(SocketAddress address, Responder responder, Shortage& shortage)
    : address_(address), shortage_(shortage), answers_(std::make_unique<Answers>(std::move(responder))) {}

Listener::~Listener() { stop(); }

Result<void> Listener::bind() {
  const auto what = fmt::format("listen on {}", address_.to_string());
  listening_.reset();
  Fd fd(::socket(to_af(address_.address.family()), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, what);
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  auto to = to_sockaddr(address_.address, address_.port);
  if (::bind(fd.get(), to.get(), to.size) != 0 || ::listen(fd.get(), SOMAXCONN) != 0) {
    const int error = errno;
    return fail_errno(
        error, error == EADDRINUSE
                   ? what + ": another process has this address; is kube-proxy or another kube-ipvsd running here?"
                   : what);
  }
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&to.storage), &to.size) != 0) return fail_errno(errno, what);
  port_ = port_of(to);
  listening_ = std::move(fd);
  return {};
}

Result<void> Listener::start() {
  const auto what = fmt::format("serve on {}", address_.to_string());
  if (!listening_) return fail(Errc::not_found, what + ": not bound");
  epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  stop_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !stop_ || !watch(epoll_, stop_, EPOLLIN, stop_id) || !watch(epoll_, listening_, EPOLLIN, listening_id))
    return fail_errno(errno, what);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    return fail(Errc::busy, what + ": its thread could not be started");
  }
  return {};
}

void Listener::run() {
  using std::chrono::ceil;
  using std::chrono::milliseconds;
  std::uint64_t next_id = listening_id + 1;
  Connections connections(epoll_, next_id, shortage_, {connection_limit, connection_limit});
  const auto answer = [this](const std::string& request) { return answers_->to(request); };
  for (;;) {
    const auto now = Connections::Clock::now();
    connections.expire(now);
    const auto wait = connections.size() == 0 ? -1 : ceil<milliseconds>(connections.due() - now).count();
    std::array<epoll_event, 64> events{};
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), static_cast<int>(wait));
    for (int i = 0; i < count; ++i) {
      const auto id = events[static_cast<std::size_t>(i)].data.u64;
      if (id == stop_id) return;
      if (id == listening_id)
        connections.accept(listening_, "", answer);
      else
        connections.on_event(id);  // if it has not made room for another
    }
  }
}

void Listener::stop() {
  if (stop_) ::eventfd_write(stop_.get(), 1);
  if (thread_.joinable()) thread_.join();
  listening_.reset();
}

}  // namespace ipvsd
