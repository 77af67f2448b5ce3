#include <memory>

#include "ctl/command_cluster.hpp"
#include "ctl/daemon_client.hpp"
#include "ctl/status.hpp"

namespace ipvsd::ctl {
namespace {

constexpr int unhealthy_status = 1;
constexpr int no_daemon_status = 2;

struct StatusWords {
  std::string socket{default_ctl_socket};
  std::string format = "table";
};

int run_status(const StatusWords& words) {
  const auto format = parse_answer_format(words.format);
  if (!format) return complain(format.error(), usage_status);
  const auto text = ask_daemon(words.socket, "/v1/status");
  if (!text) return complain(text.error(), no_daemon_status);
  const auto status = parse_status(*text);
  if (!status) return complain(status.error(), no_daemon_status);
  const auto written =
      finish(write_out(*format == Format::table ? status_table(*status) : structured(*status, *format)));
  if (written != 0) return no_daemon_status;
  return is_healthy(*status) ? 0 : unhealthy_status;
}

}  // namespace

Command declare_status(CLI::App& app) {
  const auto words = std::make_shared<StatusWords>();  // shared: as in declare_dump()
  auto* command = app.add_subcommand("status", "What the daemon says of itself: sources, failures, drift, conflicts");
  command->add_option("-o,--output", words->format, "table (default), json or yaml")->option_text("FORMAT");
  add_socket_option(*command, words->socket);
  command->footer("Exit status: 0 healthy, 1 not, 2 if no daemon answers.");
  return {command, [words] { return run_status(*words); }};
}

}  // namespace ipvsd::ctl
