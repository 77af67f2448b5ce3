#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <memory>

#include "ctl/cluster_names.hpp"
#include "ctl/command_cluster.hpp"
#include "ctl/observe.hpp"
#include "ctl/top.hpp"

namespace ipvsd::ctl {
namespace {

struct TopWords {
  ClusterWords cluster;
  std::string order = "connections";
  std::string format = "table";
  std::vector<std::string> selectors;
  double delay = 2;
  std::size_t lines = 0;
  bool once = false;
  bool endpoints = false;
};

volatile std::sig_atomic_t ended = 0;

// The terminal as a screen of its own, and as it was again at the end.
class Screen {
 public:
  Screen() {
    ::tcgetattr(STDIN_FILENO, &before_);
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    (void)write_out("\033[?1049h\033[?25l");
  }
  ~Screen() {
    (void)write_out("\033[?25h\033[?1049l");
    std::fflush(stdout);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  // In one write, each line's rest erased, so that nothing flickers.
  static Result<void> show(std::string_view text) {
    std::string out = "\033[H";
    for (const char c : text) out += c == '\n' ? std::string("\033[K\r\n") : std::string(1, c);
    if (const auto written = write_out(out + "\033[J"); !written) return written;
    return finish({}) == 0 ? Result<void>{} : fail(Errc::disconnected, "standard output");
  }

  static std::size_t rows() {
    winsize size{};
    return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 5 ? size.ws_row : 24;
  }

 private:
  termios before_{};
};

// What there is to see.
struct View {
  Observer observer;
  Names names;
  Selectors selection;
  std::vector<TopService> services;
  TopEndpoints endpoints;

  Result<void> look() {
    const auto observation = observer.observe(selection, {.addresses = false});
    if (!observation) return fail(observation.error());
    services = top_services(observation->servers, names);
    return {};
  }

  Result<void> look_into(const TopService& service) {
    std::vector<ObservedServer> servers;
    for (const auto& key : service.servers) {
      nl::VirtualServerRecord record;
      record.server.key = key;
      auto server = observer.destinations(record);
      if (!server) return fail(server.error());
      servers.push_back(std::move(*server));
    }
    endpoints[service.label] = top_endpoints(servers, names);
    return {};
  }
};

Result<void> show_once(View& view, const TopWords& words, TopOrder order, bool as_json) {
  if (const auto looked = view.look(); !looked) return looked;
  sort_services(view.services, order);
  if (words.lines != 0 && view.services.size() > words.lines) view.services.resize(words.lines);
  if (words.endpoints)
    for (const auto& service : view.services)
      if (const auto looked = view.look_into(service); !looked) return looked;
  return write_out(as_json ? top_json(view.services, view.endpoints)
                           : top_table(view.services, view.endpoints, standard_terminal()));
}

// Waits for keys until it is time for the next look; true if the terminal is gone.
bool take_keys(TopState& state, std::span<const TopService> shown, int timeout_ms) {
  pollfd poll{STDIN_FILENO, POLLIN, 0};
  if (::poll(&poll, 1, timeout_ms) <= 0) return false;
  std::array<char, 256> buffer{};
  const auto size = ::read(STDIN_FILENO, buffer.data(), buffer.size());
  if (size <= 0) return true;
  std::string_view text(buffer.data(), static_cast<std::size_t>(size));
  while (!text.empty()) state.press(take_key(text), shown);
  return false;
}

Result<void> show_live(View& view, const TopWords& words, TopOrder order) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) std::signal(signal, [](int) { ended = 1; });
  using Clock = std::chrono::steady_clock;
  const Screen screen;
  TopState state;
  state.order = order;
  auto next = Clock::now();
  while (!state.quit && ended == 0) {
    if (Clock::now() >= next) {
      if (const auto looked = view.look(); !looked) return looked;
      next = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(words.delay));
    }
    auto shown = searched(view.services, state.search);
    sort_services(shown, state.order);
    state.rows = Screen::rows() - 4;
    settle(state, shown.size());
    view.endpoints.clear();
    for (std::size_t i = state.first; i < std::min(shown.size(), state.first + state.rows); ++i)
      if (state.unfolded.contains(shown[i].label))
        if (const auto looked = view.look_into(shown[i]); !looked) return looked;
    if (const auto put = Screen::show(top_screen(state, shown, view.endpoints, standard_terminal())); !put) return put;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
    if (take_keys(state, shown, static_cast<int>(std::max<std::int64_t>(left, 0)))) return {};
  }
  return {};
}

int run_top(const TopWords& words) {
  const auto order = parse_top_order(words.order);
  if (!order) return complain(order.error(), usage_status);
  const auto format = parse_format(words.format, std::array{Format::table, Format::json});
  if (!format) return complain(format.error(), usage_status);
  const bool live = !words.once && *format == Format::table;
  if (live && (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0))
    return complain({Errc::unsupported, 0, "top needs a terminal; for scripts there is top --once"}, usage_status);
  auto names = read_names(words.cluster, warn_user);
  if (!names) return complain(names.error(), 1);
  auto observer = Observer::open();
  if (!observer) return complain(observer.error(), 1);
  observer->name_marks(*names);
  auto selection = Selectors::parse(words.selectors, *names);
  if (!selection) return complain(selection.error(), usage_status);
  View view{std::move(*observer), std::move(*names), std::move(*selection), {}, {}};
  return finish(live ? show_live(view, words, *order) : show_once(view, words, *order, *format == Format::json));
}

}  // namespace

Command declare_top(CLI::App& app) {
  const auto words = std::make_shared<TopWords>();  // shared: as in declare_dump()
  auto* command = app.add_subcommand("top", "A live table of the Services, the busiest first");
  command->add_option("SELECTOR", words->selectors, "as with dump");
  command->add_option("--by", words->order, "connections (default), packets or bytes per second, or name")
      ->option_text("ORDER");
  command->add_option("-d,--delay", words->delay, "seconds between looks; the kernel renews its rates every two")
      ->option_text("SECONDS")
      ->check(CLI::Range(0.5, 3600.0));
  command->add_flag("--once", words->once, "one table, for scripts");
  command->add_option("-n,--lines", words->lines, "with --once: so many Services at most")->option_text("COUNT");
  command->add_flag("--endpoints", words->endpoints, "with --once: their endpoints as well");
  command->add_option("-o,--output", words->format, "table (default), or json, which is --once")->option_text("FORMAT");
  add_cluster_options(*command, words->cluster);
  command->footer("The key h shows what keys do.");
  return {command, [words] { return run_top(*words); }};
}

}  // namespace ipvsd::ctl
