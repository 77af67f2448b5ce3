// fake-api-server: the API server stand-in as a program, for scripts and for curl.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>

#include "test/fake/api_server.hpp"

using namespace ipvsd::fake;

namespace {

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void load(ApiServer& server, const std::string& path) {
  if (const auto applied = server.apply(Json::parse(read_file(path))); !applied)
    throw std::runtime_error(path + ": " + applied.error().message());
}

}  // namespace

int main(int argc, char** argv) try {
  ApiServerOptions options;
  options.port = 6443;
  std::string tls_dir;
  std::vector<std::string> files;
  long bookmark_ms = 1000;
  std::string watch_list = "on";
  CLI::App app{"A stand-in for kube-apiserver: Services, EndpointSlices and Nodes. Ends on SIGINT or SIGTERM."};
  app.add_option("--host", options.host, "address to listen on");
  app.add_option("--port", options.port, "0: any; printed");
  app.add_option("--token", options.token, "the bearer token that clients must show; none: anybody may do anything");
  app.add_option("--tls-dir", tls_dir,
                 "serve HTTPS, and write ca.crt, server.crt, server.key and kubeconfig into this existing directory");
  app.add_option("--load", files, "JSON files with an object or a List each");
  app.add_option("--bookmark-ms", bookmark_ms, "time between bookmarks")->check(CLI::PositiveNumber);
  app.add_option("--first-version", options.first_version, "resource versions are above this one");
  app.add_option("--page-limit", options.page_limit, "most items per page of a list");
  app.add_option("--watchlist", watch_list)->check(CLI::IsMember({"on", "refuse", "ignore"}));
  std::string certificate_file;
  std::string key_file;
  auto* certificate =
      app.add_option("--cert", certificate_file, "PEM file to serve with, instead of one made at start");
  certificate->needs(app.add_option("--key", key_file, "its key")->needs(certificate));
  CLI11_PARSE(app, argc, argv);

  ::signal(SIGPIPE, SIG_IGN);
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // before there are threads: they inherit it

  options.tls = !tls_dir.empty() || !certificate_file.empty();
  if (!certificate_file.empty()) {
    options.certificate_pem = read_file(certificate_file);
    options.key_pem = read_file(key_file);
  }
  options.bookmark_period = std::chrono::milliseconds(bookmark_ms);
  ApiServer server(options);
  server.set_watch_list(watch_list == "refuse"   ? WatchListMode::refuse
                        : watch_list == "ignore" ? WatchListMode::ignore
                                                 : WatchListMode::on);
  for (const auto& file : files) load(server, file);
  if (!tls_dir.empty()) {
    // Of a certificate that was given, the authority is not known: it may be its own.
    write_file(tls_dir + "/ca.crt", server.ca_pem().empty() ? server.certificate().certificate_pem : server.ca_pem());
    write_file(tls_dir + "/server.crt", server.certificate().certificate_pem);
    write_file(tls_dir + "/server.key", server.certificate().key_pem);
    write_file(tls_dir + "/kubeconfig", server.kubeconfig("ca.crt"));
  }
  std::cout << (options.tls ? "https" : "http") << "://" << options.host << ":" << server.port() << std::endl;
  int signal = 0;
  ::sigwait(&ends, &signal);
  return 0;
} catch (const std::exception& thrown) {
  std::cerr << "fake-api-server: " << thrown.what() << "\n";
  return 1;
}
