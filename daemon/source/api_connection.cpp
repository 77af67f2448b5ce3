#include "daemon/source/api_connection.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <httplib.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>

#include "daemon/source/api_tls.hpp"
#include "os/file.hpp"

namespace ipvsd {
namespace {

constexpr std::size_t error_body_limit = 64U << 10;
constexpr std::size_t token_limit = 64U << 10;
// Also for each step of a TLS handshake, for which a server under load may take its time.
constexpr std::chrono::seconds connect_timeout{5};
constexpr std::chrono::seconds write_timeout{10};
constexpr int lost_peer_ms = 30'000;

std::string bracketed(const std::string& host) { return host.find(':') == std::string::npos ? host : "[" + host + "]"; }

std::optional<std::chrono::seconds> parse_retry_after(const std::string& text) {
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || end != text.data() + text.size() || seconds < 0) return std::nullopt;
  return std::chrono::seconds(std::min(seconds, 3600));
}

void set_option(int socket, int level, int option, int value) {
  ::setsockopt(socket, level, option, &value, sizeof value);
}

// The first address of a name as text, for the one case where the name is not the one that TLS asks for.
Result<std::string> resolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0)
    return fail(Errc::disconnected, fmt::format("look up {}: {}", host, ::gai_strerror(error)));
  std::array<char, NI_MAXHOST> text{};
  const int error =
      ::getnameinfo(found->ai_addr, found->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST);
  ::freeaddrinfo(found);
  if (error != 0) return fail(Errc::disconnected, fmt::format("look up {}: {}", host, ::gai_strerror(error)));
  return std::string(text.data());
}

Result<std::unique_ptr<httplib::ClientImpl>> make_client(const ApiAccess& access, std::string* verify_error) {
  if (!access.tls) return std::make_unique<httplib::ClientImpl>(access.host, access.port);
  const std::string& name = access.server_name.empty() ? access.host : access.server_name;
  auto client = std::make_unique<httplib::SSLClient>(name, access.port);
  if (!client->is_valid()) return fail(Errc::unsupported, "TLS: no context from OpenSSL");
  client->enable_server_certificate_verification(false);  // done by OpenSSL itself: see api_tls.hpp
  if (auto configured = configure_tls(client->ssl_context(), access, verify_error); !configured)
    return fail(configured.error());
  if (name != access.host) {
    const auto address = resolve(access.host);
    if (!address) return fail(address.error());
    client->set_hostname_addr_map({{name, *address}});
  }
  return std::unique_ptr<httplib::ClientImpl>(std::move(client));
}

}  // namespace

struct ApiConnection::Exchange {
  std::string method;
  std::string target;
  std::string content;
  std::string content_type;
  std::chrono::seconds silence{};
  const Receiver* receive = nullptr;  // null: the body goes into the answer
};

std::string encode_query_value(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~").find(c) != std::string_view::npos;
    if (plain)
      encoded += c;
    else
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

ApiConnection::ApiConnection(ApiAccess access, ApiObserver observe)
    : access_(std::move(access)), observe_(std::move(observe)) {}

std::string ApiConnection::authority() const { return fmt::format("{}:{}", bracketed(access_.host), access_.port); }

std::string ApiConnection::server() const {
  return fmt::format("{}://{}{}", access_.tls ? "https" : "http", authority(), access_.path_prefix);
}

void ApiConnection::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  if (socket_) ::shutdown(socket_.get(), SHUT_RDWR);
}

bool ApiConnection::stopped() const {
  const std::lock_guard lock(mutex_);
  return stopped_;
}

void ApiConnection::prepare_socket(int socket) {
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, 15);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 3);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, lost_peer_ms);
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  const std::lock_guard lock(mutex_);
  socket_ = Fd(::fcntl(socket, F_DUPFD_CLOEXEC, 0));
  if (stopped_) ::shutdown(socket, SHUT_RDWR);
}

Result<std::string> ApiConnection::read_token() const {
  if (access_.token_file.empty()) return access_.token;
  auto text = read_small_file(access_.token_file, token_limit);
  if (!text) return fail(text.error().within("bearer token"));
  while (!text->empty() && std::string_view(" \t\r\n").find(text->back()) != std::string_view::npos) text->pop_back();
  // Anything else would end the header, or be refused by every server.
  if (std::any_of(text->begin(), text->end(), [](char c) { return c <= ' ' || c == 0x7f; }))
    return fail(Errc::malformed,
                fmt::format("bearer token {}: it has characters that no token has", access_.token_file));
  return text;
}

Error ApiConnection::explain(int httplib_error, bool answered, const std::string& verify_error) const {
  using enum httplib::Error;
  if (stopped()) return {Errc::interrupted, 0, server() + ": stopped"};
  const unsigned long tls_code = ERR_peek_last_error();
  ERR_clear_error();
  const char* tls_reason = tls_code == 0 ? nullptr : ERR_reason_error_string(tls_code);
  switch (static_cast<httplib::Error>(httplib_error)) {
    case Canceled: return {Errc::interrupted, 0, server() + ": ended by the reader"};
    case SSLConnection:
    case SSLServerVerification:
      if (!verify_error.empty())
        return {Errc::denied, 0,
                fmt::format("{}: the server's certificate is not trusted: {}; check certificate-authority and "
                            "tls-server-name",
                            server(), verify_error)};
      return {Errc::disconnected, 0,
              fmt::format("{}: TLS handshake failed: {}", server(), tls_reason == nullptr ? "no answer" : tls_reason)};
    case Connection:
    case ConnectionTimeout:
      // httplib does not tell a peer that is not there from a socket that is not to be had.
      if (const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); !socket)
        return {errc_of(errno), errno, fmt::format("{}: no socket for a connection", server())};
      return {Errc::disconnected, 0, server() + ": no connection (refused, unreachable, or no answer)"};
    case Read:
      return {Errc::disconnected, 0,
              fmt::format("{}: {}{}{}", server(), answered ? "the connection broke within the answer" : "no answer",
                          tls_reason == nullptr ? "" : ": ", tls_reason == nullptr ? "" : tls_reason)};
    default:
      return {Errc::disconnected, 0,
              fmt::format("{}: {}", server(), httplib::to_string(static_cast<httplib::Error>(httplib_error)))};
  }
}

Error ApiConnection::no_memory() const {
  return {Errc::busy, ENOMEM, fmt::format("{}: no memory for its answer; raise the memory limit", server())};
}

Result<ApiAnswer> ApiConnection::send(const Exchange& exchange, const std::string& token) try {
  std::string verify_error;
  auto client = make_client(access_, &verify_error);
  if (!client) return fail(client.error().within(server()));
  (*client)->set_connection_timeout(connect_timeout);
  (*client)->set_read_timeout(exchange.silence);
  (*client)->set_write_timeout(write_timeout);
  (*client)->set_url_encode(false);
  (*client)->set_socket_options([this](int socket) { prepare_socket(socket); });

  ApiAnswer answer;
  httplib::Request request;
  request.method = exchange.method;
  request.path = access_.path_prefix + exchange.target;
  request.body = exchange.content;
  request.headers = {{"Host", authority()},
                     {"Accept", "application/json"},
                     {"Accept-Encoding", "identity"},
                     {"User-Agent", "kube-ipvsd/" IPVSD_VERSION}};
  if (!exchange.content.empty()) request.headers.emplace("Content-Type", exchange.content_type);
  if (!token.empty()) request.headers.emplace("Authorization", "Bearer " + token);
  const auto began = std::chrono::steady_clock::now();
  const auto observed = [&](int status) {
    if (observe_) observe_({authority(), exchange.method, status, std::chrono::steady_clock::now() - began});
  };
  auto last_byte = began;
  request.response_handler = [&](const httplib::Response& head) {
    last_byte = std::chrono::steady_clock::now();
    answer.status = head.status;
    observed(head.status);
    if (head.has_header("Retry-After")) answer.retry_after = parse_retry_after(head.get_header_value("Retry-After"));
    return answer.status != 200 || exchange.receive == nullptr || (*exchange.receive)({});
  };
  request.content_receiver = [&](const char* bytes, std::size_t size, std::uint64_t, std::uint64_t) {
    last_byte = std::chrono::steady_clock::now();
    if (answer.status == 200 && exchange.receive != nullptr) return (*exchange.receive)({bytes, size});
    answer.body.append(bytes, std::min(size, error_body_limit - answer.body.size()));
    return true;
  };
  ERR_clear_error();
  const auto result = (*client)->send(request);
  {
    const std::lock_guard lock(mutex_);
    socket_.reset();
  }
  if (!result) {
    if (answer.status == 0 && !stopped()) observed(0);
    Error error = explain(static_cast<int>(result.error()), answer.status != 0, verify_error);
    if (result.error() == httplib::Error::Read && error.code == Errc::disconnected &&
        std::chrono::steady_clock::now() - last_byte >= exchange.silence)
      error = {Errc::timed_out, 0, fmt::format("{}: silent for {} s or more", server(), exchange.silence.count())};
    return fail(std::move(error));
  }
  if (stopped()) return fail(Errc::interrupted, server() + ": stopped");
  return answer;
} catch (const std::bad_alloc&) {
  return fail(no_memory());
} catch (const std::exception& thrown) {
  return fail(Errc::malformed, fmt::format("{}: {}", server(), thrown.what()));
}

Result<ApiAnswer> ApiConnection::send_authorised(const Exchange& exchange) {
  if (stopped()) return fail(Errc::interrupted, server() + ": stopped");
  const auto token = read_token();
  if (!token) return fail(token.error());
  auto answer = send(exchange, *token);
  if (!answer || answer->status != 401) return answer;
  const auto rotated = read_token();
  if (!rotated || *rotated == *token) return answer;
  return send(exchange, *rotated);
}

Result<ApiAnswer> ApiConnection::get(const std::string& target, std::chrono::seconds silence, const Receiver& receive) {
  return send_authorised({"GET", target, "", "", silence, &receive});
}

Result<ApiAnswer> ApiConnection::post(const std::string& target, const std::string& json,
                                      std::chrono::seconds silence) {
  return send_authorised({"POST", target, json, "application/json", silence, nullptr});
}

Result<ApiAnswer> ApiConnection::patch(const std::string& target, const std::string& json,
                                       std::chrono::seconds silence) {
  return send_authorised({"PATCH", target, json, "application/merge-patch+json", silence, nullptr});
}

}  // namespace ipvsd
