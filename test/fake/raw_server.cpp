#include "test/fake/raw_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <stdexcept>

namespace ipvsd::fake {

void RawServer::Peer::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t size = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
}

void RawServer::Peer::wait_for_close() const {
  std::array<char, 256> ignored;
  while (::recv(socket_, ignored.data(), ignored.size(), 0) > 0) {
  }
}

RawServer::RawServer(Script script)
    : script_(std::move(script)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.get(), generic, size) != 0 || ::listen(listener_.get(), 16) != 0 ||
      ::getsockname(listener_.get(), generic, &size) != 0)
    throw std::runtime_error("raw server: cannot listen on loopback");
  port_ = ntohs(address.sin_port);
  if (script_) acceptor_ = std::thread([this] { accept_all(); });
}

RawServer::~RawServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& socket : sockets_) ::shutdown(socket.get(), SHUT_RDWR);
  }
  ::shutdown(listener_.get(), SHUT_RDWR);
  if (acceptor_.joinable()) acceptor_.join();
  for (auto& thread : threads_) thread.join();
}

void RawServer::accept_all() {
  while (true) {
    const int socket = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const std::lock_guard lock(mutex_);
    sockets_.emplace_back(socket);
    if (stopping_) return;
    threads_.emplace_back([this, socket] { serve(socket); });
  }
}

void RawServer::serve(int socket) {
  std::string head;
  std::array<char, 4096> piece;
  // A TLS handshake (record type 22) is no request, but all that will come.
  while (head.find("\r\n\r\n") == std::string::npos && head.rfind('\x16', 0) != 0) {
    const ssize_t size = ::recv(socket, piece.data(), piece.size(), 0);
    if (size <= 0) break;
    head.append(piece.data(), static_cast<std::size_t>(size));
  }
  if (!head.empty()) {
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(head);
      changed_.notify_all();
    }
    script_(Peer(socket), head);
  }
  // The descriptor stays open until the end of the server, so that its number is not reused meanwhile.
  ::shutdown(socket, SHUT_RDWR);
}

ApiAccess RawServer::access() const {
  ApiAccess access;
  access.host = "127.0.0.1";
  access.port = port_;
  access.tls = false;
  return access;
}

std::vector<std::string> RawServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

bool RawServer::wait_for_requests(std::size_t count, std::chrono::seconds deadline) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, deadline, [&] { return requests_.size() >= count; });
}

bool RawServer::wait_for_connection(std::chrono::seconds deadline) const {
  pollfd ready{listener_.get(), POLLIN, 0};
  return ::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(deadline).count())) == 1;
}

}  // namespace ipvsd::fake
