#include "daemon/serve/listener.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <httplib.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "os/fd.hpp"

namespace ipvsd {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t worker_count = 8;
constexpr std::size_t waiting_limit = 64;
constexpr auto connection_time = std::chrono::seconds(1);
constexpr std::size_t request_limit = 16384;

// One connection. httplib's own stream has a time limit per read only, and nothing that ends it early.
class BoundedStream final : public httplib::Stream {
 public:
  BoundedStream(int socket, int stop_fd)
      : socket_(socket), stop_fd_(stop_fd), deadline_(Clock::now() + connection_time) {}

  [[nodiscard]] bool is_readable() const override { return used_ < filled_ || wait(POLLIN); }
  [[nodiscard]] bool is_writable() const override { return wait(POLLOUT); }
  ssize_t read(char* into, std::size_t size) override {
    if (used_ == filled_ && !fill()) return -1;
    const auto taken = std::min(size, filled_ - used_);
    std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(used_), taken, into);
    used_ += taken;
    return static_cast<ssize_t>(taken);
  }
  ssize_t write(const char* from, std::size_t size) override {
    std::size_t written = 0;
    while (written < size) {
      if (!wait(POLLOUT)) return -1;
      const ssize_t sent = ::send(socket_, from + written, size - written, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno != EAGAIN && errno != EINTR) return -1;
      if (sent > 0) written += static_cast<std::size_t>(sent);
    }
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  [[nodiscard]] socket_t socket() const override { return socket_; }

 private:
  // False at the deadline and when the server stops.
  [[nodiscard]] bool wait(short events) const {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
      std::array<pollfd, 2> fds{{{socket_, events, 0}, {stop_fd_, POLLIN, 0}}};
      const int ready = left > 0 ? ::poll(fds.data(), fds.size(), static_cast<int>(left)) : 0;
      if (ready < 0 && errno == EINTR) continue;
      return ready > 0 && fds[1].revents == 0;
    }
  }
  bool fill() {
    if (total_ >= request_limit || !wait(POLLIN)) return false;
    const ssize_t size = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (size <= 0) return false;
    used_ = 0;
    filled_ = static_cast<std::size_t>(size);
    total_ += filled_;
    return true;
  }

  const int socket_;
  const int stop_fd_;
  const Clock::time_point deadline_;
  std::array<char, 4096> buffer_;
  std::size_t used_ = 0;
  std::size_t filled_ = 0;
  std::size_t total_ = 0;
};

// Connections that wait for a worker.
class Waiting {
 public:
  // False where there is no room: the connection is closed.
  bool push(Fd connection) {
    const std::lock_guard lock(mutex_);
    if (connections_.size() >= waiting_limit) return false;
    connections_.push_back(std::move(connection));
    changed_.notify_one();
    return true;
  }
  // Invalid after close(), when none is left.
  Fd pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !connections_.empty(); });
    if (connections_.empty()) return {};
    Fd connection = std::move(connections_.front());
    connections_.pop_front();
    return connection;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Fd> connections_;
  bool closed_ = false;
};

// Closing a socket with unread bytes in it resets the connection, and the client may lose the answer.
void close_gently(Fd connection) {
  ::shutdown(connection.get(), SHUT_WR);
  std::array<char, 4096> rest;
  for (std::size_t i = 0; i < 16 && ::recv(connection.get(), rest.data(), rest.size(), MSG_DONTWAIT) > 0; ++i) {
  }
}

}  // namespace

HttpAnswer not_found_answer() { return {404, "text/plain; charset=utf-8", "404 page not found\n"}; }

class Listener::Server final : public httplib::Server {
 public:
  Server(Responder responder, Shortage& shortage) : shortage_(shortage) {
    set_socket_options([](socket_t socket) {
      const int on = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      // A client may be gone again between poll and accept.
      ::fcntl(socket, F_SETFL, O_NONBLOCK);
    });
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
  ~Server() override { end(); }

  // False if there are no threads to be had, or no descriptor; then it is not bound any more.
  [[nodiscard]] bool run() {
    stop_fd_ = Fd(::eventfd(0, EFD_CLOEXEC));
    if (!stop_fd_) {
      end();
      return false;
    }
    waiting_ = std::make_unique<Waiting>();
    try {
      for (std::size_t i = 0; i < worker_count; ++i) threads_.emplace_back([this] { work(); });
      threads_.emplace_back([this] { accept(); });
    } catch (const std::system_error&) {
      end();
      return false;
    }
    return true;
  }

  void end() {
    ::eventfd_write(stop_fd_.get(), 1);
    waiting_->close();
    for (auto& thread : threads_) thread.join();
    threads_.clear();
    if (const auto socket = svr_sock_.exchange(INVALID_SOCKET); socket != INVALID_SOCKET) ::close(socket);
  }

 private:
  // httplib's own loop gives the listening socket up at any error but EMFILE, for good.
  void accept() {
    for (;;) {
      std::array<pollfd, 2> fds{{{stop_fd_.get(), POLLIN, 0}, {svr_sock_, POLLIN, 0}}};
      if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
      if (fds[0].revents != 0) return;
      Fd connection(::accept4(svr_sock_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (connection) {
        waiting_->push(std::move(connection));
      } else if (Shortage::is_one(errno)) {
        shortage_.met(errno);
        ::poll(fds.data(), 1, static_cast<int>(Shortage::pause.count()));
      }
    }
  }

  void work() {
    while (Fd connection = waiting_->pop()) {
      BoundedStream stream(connection.get(), stop_fd_.get());
      bool closed = false;
      process_request(stream, true, closed, nullptr);
      close_gently(std::move(connection));
    }
  }

  Shortage& shortage_;
  Fd stop_fd_;
  std::unique_ptr<Waiting> waiting_ = std::make_unique<Waiting>();
  std::vector<std::thread> threads_;
};

Listener::Listener(SocketAddress address, Responder responder, Shortage& shortage)
    : address_(address), server_(std::make_unique<Server>(std::move(responder), shortage)) {}
Listener::~Listener() { stop(); }

Result<void> Listener::bind() {
  const auto host = address_.address.to_string();
  errno = 0;
  int port = address_.port.number;
  bool bound = false;
  if (port == 0) {
    port = server_->bind_to_any_port(host);
    bound = port > 0;
  } else {
    bound = server_->bind_to_port(host, port);
  }
  const int error = errno;
  const auto what = fmt::format("listen on {}", address_.to_string());
  if (!bound && error == EADDRINUSE)
    return fail_errno(error,
                      what + ": another process has this address; is kube-proxy or another kube-ipvsd running here?");
  if (!bound) return error > 0 ? fail_errno(error, what) : fail(Errc::unsupported, what);
  port_ = Port{static_cast<std::uint16_t>(port)};
  return {};
}

Result<void> Listener::start() {
  if (port_ == Port{}) return fail(Errc::not_found, fmt::format("serve on {}: not bound", address_.to_string()));
  if (server_->run()) return {};
  port_ = Port{};
  return fail(Errc::busy, fmt::format("serve on {}: its threads could not be started", address_.to_string()));
}

void Listener::stop() { server_->end(); }

Port Listener::port() const { return port_; }

}  // namespace ipvsd
