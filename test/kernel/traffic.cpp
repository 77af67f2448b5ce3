// Traffic for tests and the demo: backends that say who they are, and clients that count the answers.
//
//   traffic serve NAME [--tcp PORT] [--udp PORT] [--sctp PORT] [--v6] [--background]
//     Greets each connection, and answers each datagram, with "NAME PEER" (the peer as seen); echoes what follows.
//     --background: returns once all ports listen and prints the server's process id.
//   traffic request tcp|udp|sctp ADDRESS PORT [--count N] [--source-port P] [--timeout MS] [--interval MS] [--quiet]
//                   [--reset] [--failures]
//     Prints each answer (unless quiet), then how often each NAME answered and how many requests failed. --reset: ends
//     its connections with a RST, so that the source port can be used again at once. --failures: of the answers only
//     those that failed, as "failed FROM TO: why", with the times when the request began and ended, in seconds as
//     /proc/uptime counts them.
//   traffic hold ADDRESS PORT [--count N] [--rounds N] [--timeout MS] [--interval MS] [--reset] [--over-sctp]
//     Opens N TCP (or SCTP) connections, prints how many each NAME took, then sends a line over each of them and checks
//     its echo, once per interval, until SIGTERM or the given number of rounds; prints how many broke, and of each how:
//     "ended by the peer", "Connection reset by peer", or that there was no answer in time. --reset: ends them with a
//     RST, after which IPVS forgets them in 10 s instead of 2 min.
//
// Exit status: 0, or 1 if a request failed or a connection broke, or 2 for a wrong command line.
// One thread, no library but libc: starting a program is slow on the test kernel.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

volatile std::sig_atomic_t stop_requested = 0;

[[noreturn]] void usage(std::string_view why) {
  std::fprintf(stderr, "traffic: %.*s; see the head of test/kernel/traffic.cpp\n", static_cast<int>(why.size()),
               why.data());
  std::exit(2);
}

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "traffic: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

struct Options {
  std::vector<std::string_view> words;
  std::map<std::string_view, int> values;

  [[nodiscard]] int value(std::string_view name, int otherwise) const {
    const auto found = values.find(name);
    return found == values.end() ? otherwise : found->second;
  }
  [[nodiscard]] bool has(std::string_view name) const { return values.contains(name); }
};

int number(std::string_view text) {
  int result = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
  if (error != std::errc{} || end != text.data() + text.size() || result < 0) usage("not a number");
  return result;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (!word.starts_with("--")) {
      options.words.push_back(word);
    } else if (word == "--v6" || word == "--background" || word == "--quiet" || word == "--reset" ||
               word == "--over-sctp" || word == "--failures") {
      options.values[word] = 1;
    } else {
      if (++i == argc) usage("an option lacks its value");
      options.values[word] = number(argv[i]);
    }
  }
  return options;
}

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);

  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }

  static SocketAddress of(std::string_view text, int port) {
    const std::string copy(text);
    SocketAddress address;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    if (inet_pton(AF_INET, copy.c_str(), &v4->sin_addr) == 1) {
      v4->sin_family = AF_INET;
      v4->sin_port = htons(static_cast<std::uint16_t>(port));
      address.length = sizeof(*v4);
    } else if (inet_pton(AF_INET6, copy.c_str(), &v6->sin6_addr) == 1) {
      v6->sin6_family = AF_INET6;
      v6->sin6_port = htons(static_cast<std::uint16_t>(port));
      address.length = sizeof(*v6);
    } else {
      usage("not an IP address");
    }
    return address;
  }

  [[nodiscard]] std::string to_string() const {
    char text[INET6_ADDRSTRLEN] = "";
    if (storage.ss_family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
      inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
      return std::string(text) + ":" + std::to_string(ntohs(v4->sin_port));
    }
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    return std::string("[") + text + "]:" + std::to_string(ntohs(v6->sin6_port));
  }
};

int open_socket(int family, std::string_view protocol) {
  int fd = -1;
  if (protocol == "tcp") fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
  if (protocol == "udp") fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
  if (protocol == "sctp") fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);
  if (fd < 0) die("socket");
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  return fd;
}

int open_server(std::string_view protocol, int port, bool v6) {
  const SocketAddress any = SocketAddress::of(v6 ? "::" : "0.0.0.0", port);
  const int fd = open_socket(any.get()->sa_family, protocol);
  const int only = 1;
  if (v6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
  if (bind(fd, any.get(), any.length) != 0) die("bind");
  if (protocol != "udp" && listen(fd, 1024) != 0) die("listen");
  return fd;
}

void detach() {
  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child > 0) {
    std::printf("%d\n", child);
    std::fflush(stdout);
    _exit(0);
  }
  setsid();
  // Whoever reads our output must see its end.
  if (std::freopen("/dev/null", "w", stdout) == nullptr) _exit(1);
  if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(1);
}

// Answers one datagram, or takes one connection, which is returned.
std::optional<int> greet(int listener, bool datagrams, const std::string& name) {
  SocketAddress peer;
  if (datagrams) {
    char bytes[2048];
    if (recvfrom(listener, bytes, sizeof bytes, 0, peer.get(), &peer.length) < 0) return std::nullopt;
    const std::string answer = name + " " + peer.to_string() + "\n";
    sendto(listener, answer.data(), answer.size(), 0, peer.get(), peer.length);
    return std::nullopt;
  }
  const int fd = accept4(listener, peer.get(), &peer.length, SOCK_CLOEXEC);
  if (fd < 0) return std::nullopt;
  const std::string greeting = name + " " + peer.to_string() + "\n";
  send(fd, greeting.data(), greeting.size(), MSG_NOSIGNAL);
  return fd;
}

int serve(const Options& options) {
  if (options.words.size() != 2) usage("serve takes a name");
  const std::string name(options.words[1]);
  std::vector<pollfd> sockets;
  std::vector<bool> datagrams;
  for (const std::string_view protocol : {"tcp", "udp", "sctp"}) {
    const int port = options.value("--" + std::string(protocol), 0);
    if (port == 0) continue;
    for (const bool v6 : {false, true}) {
      if (v6 && !options.has("--v6")) continue;
      sockets.push_back({open_server(protocol, port, v6), POLLIN, 0});
      datagrams.push_back(protocol == "udp");
    }
  }
  if (sockets.empty()) usage("serve needs a port");
  if (options.has("--background")) detach();

  const std::size_t listeners = sockets.size();
  while (stop_requested == 0) {
    if (poll(sockets.data(), sockets.size(), -1) < 0) continue;
    for (std::size_t i = sockets.size(); i-- > 0;) {
      if (sockets[i].revents == 0) continue;
      if (i < listeners) {
        if (const auto connection = greet(sockets[i].fd, datagrams[i], name)) {
          sockets.push_back({*connection, POLLIN, 0});
        }
        continue;
      }
      char bytes[4096];
      const ssize_t length = recv(sockets[i].fd, bytes, sizeof bytes, 0);
      if (length > 0) {
        send(sockets[i].fd, bytes, static_cast<std::size_t>(length), MSG_NOSIGNAL);
      } else {
        close(sockets[i].fd);
        sockets.erase(sockets.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }
  return 0;
}

// One line, without its end; nothing if it does not come in time (errno is ETIMEDOUT) or the connection ends (0).
std::optional<std::string> read_line(int fd, milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  std::string line;
  while (true) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now()).count();
    pollfd ready{fd, POLLIN, 0};
    if (left <= 0) {
      errno = ETIMEDOUT;
      return std::nullopt;
    }
    poll(&ready, 1, static_cast<int>(left));
    char bytes[2048];
    const ssize_t length = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (length == 0) errno = 0;
    if (length <= 0) return std::nullopt;
    line.append(bytes, static_cast<std::size_t>(length));
    if (line.ends_with('\n')) {
      line.pop_back();
      return line;
    }
  }
}

// A connected socket that blocks on sending for no longer than the timeout; -1 with errno set.
int open_client(std::string_view protocol, const SocketAddress& peer, int source_port, milliseconds timeout) {
  const int fd = open_socket(peer.get()->sa_family, protocol);
  const timeval limit{timeout.count() / 1000, timeout.count() % 1000 * 1000};
  // For a connect the kernel takes the limit for sending.
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (source_port != 0) {
    const bool v6 = peer.get()->sa_family == AF_INET6;
    const SocketAddress here = SocketAddress::of(v6 ? "::" : "0.0.0.0", source_port);
    if (bind(fd, here.get(), here.length) != 0) die("bind");
  }
  if (connect(fd, peer.get(), peer.length) == 0) return fd;
  const int reason = errno == EINPROGRESS ? ETIMEDOUT : errno;
  close(fd);
  errno = reason;
  return -1;
}

const char* why(int reason) {
  if (reason == 0) return "ended by the peer";
  return reason == ETIMEDOUT ? "no answer in time" : std::strerror(reason);
}

std::string first_word(const std::string& line) { return line.substr(0, line.find(' ')); }

void print_counts(const std::map<std::string, int>& answers) {
  for (const auto& [name, count] : answers) std::printf("%d from %s\n", count, name.c_str());
}

// The connection ends with a RST.
void reset_on_close(int fd) {
  const linger at_once{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

std::optional<std::string> ask(std::string_view protocol, const SocketAddress& peer, int source_port,
                               milliseconds timeout, bool reset) {
  const int fd = open_client(protocol, peer, source_port, timeout);
  if (fd < 0) return std::nullopt;
  if (protocol == "udp") send(fd, "hello\n", 6, MSG_NOSIGNAL);
  auto answer = read_line(fd, timeout);
  const int reason = errno;
  if (reset) reset_on_close(fd);
  close(fd);
  errno = reason;
  return answer;
}

// As /proc/uptime has it, which no change of the clock moves.
double uptime() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

int request(const Options& options) {
  if (options.words.size() != 4) usage("request takes a protocol, an address and a port");
  const std::string_view protocol = options.words[1];
  if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") usage("the protocol is tcp, udp or sctp");
  const SocketAddress peer = SocketAddress::of(options.words[2], number(options.words[3]));
  const milliseconds timeout(options.value("--timeout", 2000));
  const int interval = options.value("--interval", 0);

  std::map<std::string, int> answers;
  int failed = 0;
  for (int i = 0; i < options.value("--count", 1) && stop_requested == 0; ++i) {
    if (i > 0 && interval > 0) poll(nullptr, 0, interval);
    const double began = uptime();
    if (const auto answer = ask(protocol, peer, options.value("--source-port", 0), timeout, options.has("--reset"))) {
      if (!options.has("--quiet") && !options.has("--failures")) std::printf("%s\n", answer->c_str());
      ++answers[first_word(*answer)];
    } else if (stop_requested == 0) {
      const int reason = errno;
      if (options.has("--failures"))
        std::printf("failed %.2f %.2f: %s\n", began, uptime(), why(reason));
      else if (!options.has("--quiet"))
        std::printf("failed: %s\n", why(reason));
      ++failed;
    }
    std::fflush(stdout);
  }
  print_counts(answers);
  std::printf("%d failed\n", failed);
  return failed == 0 ? 0 : 1;
}

// Sends a line over every connection, then checks every echo; closes those that broke. Returns how many did.
int exchange(std::vector<int>& connections, int round, milliseconds timeout) {
  const std::string line = "round " + std::to_string(round);
  const std::string sent = line + "\n";
  for (const int fd : connections) send(fd, sent.data(), sent.size(), MSG_NOSIGNAL);
  return static_cast<int>(std::erase_if(connections, [&](int fd) {
    const auto answer = read_line(fd, timeout);
    const bool intact = answer == line;
    if (!intact) {
      std::fprintf(stderr, "broken in round %d: %s\n", round, answer ? answer->c_str() : why(errno));
      close(fd);
    }
    return !intact;
  }));
}

int hold(const Options& options) {
  if (options.words.size() != 3) usage("hold takes an address and a port");
  const SocketAddress peer = SocketAddress::of(options.words[1], number(options.words[2]));
  const milliseconds timeout(options.value("--timeout", 2000));
  const int count = options.value("--count", 200);
  const int rounds = options.value("--rounds", 0);

  std::map<std::string, int> answers;
  std::vector<int> connections;
  int broken = 0;
  for (int i = 0; i < count; ++i) {
    const int fd = open_client(options.has("--over-sctp") ? "sctp" : "tcp", peer, 0, timeout);
    const auto greeting = fd < 0 ? std::nullopt : read_line(fd, timeout);
    if (greeting) {
      connections.push_back(fd);
      ++answers[first_word(*greeting)];
    } else {
      if (fd >= 0) close(fd);
      ++broken;
    }
  }
  print_counts(answers);
  std::printf("%zu open\n", connections.size());
  std::fflush(stdout);

  int round = 0;
  while (stop_requested == 0 && (rounds == 0 || round < rounds)) {
    broken += exchange(connections, ++round, timeout);
    if (rounds == 0 || round < rounds) poll(nullptr, 0, options.value("--interval", 1000));
  }
  for (const int fd : connections)
    if (options.has("--reset")) reset_on_close(fd);
  std::printf("%zu of %d connections intact after %d rounds, %d broken\n", connections.size(), count, round, broken);
  return broken == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_requested = 1; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);

  const Options options = parse(argc, argv);
  if (options.words.empty()) usage("no command");
  if (options.words[0] == "serve") return serve(options);
  if (options.words[0] == "request") return request(options);
  if (options.words[0] == "hold") return hold(options);
  usage("unknown command");
}
