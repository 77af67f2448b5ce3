#include <fmt/format.h>

#include <csignal>
#include <memory>
#include <thread>

#include "ctl/cluster_names.hpp"
#include "ctl/command_cluster.hpp"
#include "ctl/daemon_client.hpp"
#include "ctl/observe.hpp"
#include "ctl/top.hpp"
#include "ctl/ui_server.hpp"

namespace ipvsd::ctl {
namespace {

struct UiWords {
  ClusterWords cluster;
  std::string listen = "127.0.0.1:8080";
};

// The kernel and the daemon, as the page asks for them.
class LiveSource {
 public:
  LiveSource(Observer observer, ClusterWords words) : observer_(std::move(observer)), words_(std::move(words)) {}

  Result<std::string> services() {
    if (const auto looked = look(); !looked) return fail(looked.error());
    return top_json(services_, {});
  }

  Result<std::string> endpoints(const std::string& name) {
    if (services_.empty())
      if (const auto looked = look(); !looked) return fail(looked.error());
    for (const auto& service : services_) {
      if (service.label != name) continue;
      std::vector<ObservedServer> servers;
      for (const auto& key : service.servers) {
        nl::VirtualServerRecord record;
        record.server.key = key;
        auto server = observer_.destinations(record);
        if (!server) return fail(server.error());
        servers.push_back(std::move(*server));
      }
      return top_json(std::span(&service, 1), {{name, top_endpoints(servers, names_)}});
    }
    return fail(Errc::not_found, "no Service of this name has a virtual server");
  }

  Result<std::string> status() { return ask_daemon(words_.socket, "/v1/status"); }

 private:
  Result<void> look() {
    // Services come and go; their names are read again now and then.
    const auto now = std::chrono::steady_clock::now();
    if (now >= names_due_) {
      auto names = read_names(words_, [](const std::string&) {});
      if (!names) return fail(names.error());
      names_ = std::move(*names);
      observer_.name_marks(names_);
      names_due_ = now + std::chrono::seconds(10);
    }
    const auto observation = observer_.observe({}, {.addresses = false});
    if (!observation) return fail(observation.error());
    services_ = top_services(observation->servers, names_);
    return {};
  }

  Observer observer_;
  ClusterWords words_;
  Names names_;
  std::chrono::steady_clock::time_point names_due_{};
  std::vector<TopService> services_;
};

int run_ui(const UiWords& words) {
  const auto place = parse_place(words.listen);
  if (!place) return complain(place.error(), usage_status);
  std::string token;
  if (!is_loopback(*place)) {
    auto made = make_token();
    if (!made) return complain(made.error(), 1);
    token = std::move(*made);
  }
  auto observer = Observer::open();
  if (!observer) return complain(observer.error(), 1);
  LiveSource source(std::move(*observer), words.cluster);
  UiServer server({[&] { return source.services(); }, [&](const std::string& name) { return source.endpoints(name); },
                   [&] { return source.status(); }},
                  token);
  const auto port = server.bind(*place);
  if (!port) return complain(port.error(), 1);
  const auto host = place->host.find(':') == std::string::npos ? place->host : "[" + place->host + "]";
  auto address = fmt::format("http://{}:{}/", host, *port);
  if (!token.empty()) address += "?token=" + token;
  if (const int status = finish(write_out(address + "\n")); status != 0) return status;

  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM}) sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread waiter([&] {
    int signal = 0;
    ::sigwait(&signals, &signal);
    server.stop();
  });
  server.run();
  ::kill(::getpid(), SIGTERM);  // where run() ended by itself
  waiter.join();
  return 0;
}

}  // namespace

Command declare_ui(CLI::App& app) {
  const auto words = std::make_shared<UiWords>();  // shared: as in declare_dump()
  auto* command = app.add_subcommand("ui", "A page for the browser: the Services, their endpoints, drift and retries");
  command->add_option("--listen", words->listen, "where to serve it; 127.0.0.1:8080 unless said")
      ->option_text("ADDRESS:PORT");
  add_cluster_options(*command, words->cluster);
  command->footer(
      "Prints the page's address and serves until it is interrupted. Read-only. Beyond the loopback address the page\n"
      "needs a token, which is part of the printed address. From elsewhere: ssh -L 8080:127.0.0.1:8080 NODE");
  return {command, [words] { return run_ui(*words); }};
}

}  // namespace ipvsd::ctl
