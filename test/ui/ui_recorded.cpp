// Serves the page of kube-ipvsctl ui over answers in files: ui_recorded DIR. Prints its port; ends when its input does.
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "ctl/ui_server.hpp"
#include "os/file.hpp"

using namespace ipvsd;

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string folder = argv[1];
  const auto recorded = [folder](const char* name) { return read_small_file(folder + "/" + name, 1U << 20); };
  ctl::UiServer server(
      {[&] { return recorded("services.json"); }, [&](const std::string&) { return recorded("endpoints.json"); },
       [&] { return recorded("status.json"); }},
      "");
  const auto port = server.bind({"127.0.0.1", 0});
  if (!port) {
    std::fprintf(stderr, "%s\n", port.error().message().c_str());
    return 1;
  }
  std::printf("%u\n", *port);
  std::fflush(stdout);
  std::thread waiter([&server] {
    char byte = 0;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    server.stop();
  });
  server.run();
  waiter.join();
  return 0;
}
