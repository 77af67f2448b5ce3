#include "ctl/daemon_client.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "os/fd.hpp"

namespace ipvsd::ctl {
namespace {

constexpr std::size_t head_limit = 8192;
constexpr std::size_t refusal_limit = 4096;
constexpr std::size_t text_limit = 64U << 20;
constexpr std::chrono::milliseconds silence_limit{10'000};

// "HTTP/1.1 200 OK" -> 200; 0 if it is no status line.
int status_of(std::string_view head) {
  int status = 0;
  if (!head.starts_with("HTTP/1.") || head.size() < 12 || head[8] != ' ') return 0;
  const auto [end, error] = std::from_chars(head.data() + 9, head.data() + 12, status);
  return error == std::errc{} && end == head.data() + 12 ? status : 0;
}

// {"error": "..."}, or the text itself; without what would steer a terminal.
std::string refusal_text(const std::string& body) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  std::string text = body;
  if (json.is_object() && json.contains("error") && json["error"].is_string()) text = json["error"].get<std::string>();
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }, ' ');
  return text;
}

Result<Fd> connect_to(const std::string& path) {
  const auto about = fmt::format("the daemon on {}", path);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(Errc::malformed, fmt::format("\"{}\" cannot be the path of a socket", path));
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  if (errno == ENOENT || errno == ECONNREFUSED)
    return fail(Errc::not_found, fmt::format("no kube-ipvsd answers on {}: is it running?", path));
  if (errno == EACCES || errno == EPERM) return fail(Errc::denied, about + ": only root may ask it: try sudo");
  return fail_errno(errno, about);
}

}  // namespace

Result<void> AnswerReader::feed(std::string_view bytes) {
  if (status_ == 0) {
    const auto before = head_.size();
    head_.append(bytes.substr(0, head_limit + 1));
    const auto end = head_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
    if (end == std::string::npos) {
      if (head_.size() > head_limit) return fail(Errc::malformed, "the daemon's answer is no HTTP");
      return {};
    }
    status_ = status_of(head_);
    if (status_ == 0) return fail(Errc::malformed, "the daemon's answer is no HTTP");
    bytes.remove_prefix(end + 4 - before);
  }
  if (bytes.empty()) return {};
  if (status_ == 200) return body_(bytes);
  refusal_.append(bytes.substr(0, refusal_limit - std::min(refusal_limit, refusal_.size())));
  return {};
}

Result<void> AnswerReader::finish() const {
  if (status_ == 0) return fail(Errc::malformed, "the daemon's answer breaks off, or is no HTTP");
  if (status_ == 200) return {};
  const auto code = status_ == 404 ? Errc::not_found : status_ == 403 ? Errc::denied : Errc::busy;
  return fail(code, fmt::format("the daemon does not answer (status {}): {}", status_, refusal_text(refusal_)));
}

Result<void> ask_daemon(const std::string& socket, std::string_view resource, const AnswerReader::Body& body) {
  const auto fd = connect_to(socket);
  if (!fd) return fail(fd.error());
  const auto request = fmt::format("GET {} HTTP/1.1\r\nHost: kube-ipvsd\r\nConnection: close\r\n\r\n", resource);
  if (::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    return fail_errno(errno, "ask the daemon");
  AnswerReader answer(body);
  std::array<char, 65536> buffer;
  for (;;) {
    pollfd poll{fd->get(), POLLIN, 0};
    const int ready = ::poll(&poll, 1, static_cast<int>(silence_limit.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail(Errc::timed_out, fmt::format("the daemon on {} says nothing", socket));
    const ssize_t size = ::recv(fd->get(), buffer.data(), buffer.size(), 0);
    if (size < 0) return fail_errno(errno, fmt::format("the daemon on {}", socket));
    if (size == 0) return answer.finish();
    if (const auto fed = answer.feed({buffer.data(), static_cast<std::size_t>(size)}); !fed) return fed;
  }
}

Result<std::string> ask_daemon(const std::string& socket, std::string_view resource) {
  std::string text;
  const auto asked = ask_daemon(socket, resource, [&](std::string_view piece) -> Result<void> {
    if (text.size() + piece.size() > text_limit) return fail(Errc::malformed, "the daemon's answer is too long");
    text += piece;
    return {};
  });
  if (!asked) return fail(asked.error());
  return text;
}

}  // namespace ipvsd::ctl
