#include "daemon/config/flags.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <sstream>

#include "daemon/config/config_file.hpp"
#include "daemon/config/draft.hpp"
#include "daemon/config/fields.hpp"
#include "daemon/config/given_file.hpp"

namespace ipvsd {
namespace {

// What the user wrote, before anything is checked.
struct Written {
  Flags flags;
  std::map<const Option*, std::string> fields;
  std::string verbosity;
  std::string log_level;
  std::string healthz_port;  // deprecated, as is the other
  std::string metrics_port;
  std::vector<std::string> unused;  // of Go's logging
  std::string output;
};

// Stands for an empty value, on which CLI11 2.1 reads past the end of its results.
constexpr const char* empty_value = "\x1f";
std::string given(std::string value) { return value == empty_value ? std::string() : value; }

// Go's flags take "--name=" as an empty value and "-v=2"; CLI11 takes neither.
std::vector<std::string> normalised(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--") {
      for (; i < argc; ++i) arguments.emplace_back(argv[i]);
    } else if (argument.empty()) {
      arguments.emplace_back(empty_value);
    } else if (argument.starts_with("-v=")) {
      arguments.push_back("-" + argument);
    } else if (argument.starts_with("--") && argument.ends_with('=') && argument.find('=') == argument.size() - 1) {
      arguments.push_back(argument + empty_value);
    } else {
      arguments.push_back(argument);
    }
  }
  return arguments;
}

void declare(CLI::App& app, Written& written) {
  auto& flags = written.flags;
  app.add_option("--config", flags.config_file, "configuration file (KubeProxyConfiguration v1alpha1)")->take_last();
  app.add_option("--manifests", flags.manifests, "read objects from this directory instead of an API server")
      ->take_last();
  app.add_option("--master", flags.master, "URL of the API server; wins over the kubeconfig")->take_last();
  app.add_flag("--dry-run", flags.dry_run, "print what would be changed and touch nothing");
  app.add_flag("--once", flags.once, "end after the first full sync");
  app.add_flag("--cleanup", flags.cleanup, "remove everything of ours from this node and end");
  app.add_flag("--hand-over", flags.hand_over,
               "make this node ready for kube-proxy to take over: remove what it does not know, connections held, and "
               "end");
  app.add_flag("--init-only", flags.init_only, "set the kernel's parameters, which needs privileges, and end");
  app.add_option("--write-config-to", flags.write_config_to, "write the configuration to this file and end")
      ->take_last();
  app.add_option("--healthz-port", written.healthz_port, "deprecated: the port of --healthz-bind-address; 0 disables")
      ->take_last();
  app.add_option("--metrics-port", written.metrics_port, "deprecated: the port of --metrics-bind-address; 0 disables")
      ->take_last();
  const std::string logging = "see -v and --log-level";
  for (const auto* unused : {"--log-text-split-stream", "--log-json-split-stream"})
    app.add_flag(unused, logging)->take_last()->group("Accepted without effect");
  for (const auto* unused : {"--log-text-info-buffer-size", "--log-json-info-buffer-size"})
    app.add_option(unused, written.unused, logging)->group("Accepted without effect");
  app.add_flag("--check", flags.check,
               "say what stands in the way on this node and what --config (a file, or a ConfigMap with one) would do "
               "otherwise than under kube-proxy; changes nothing (asking for IPVS may load the module ip_vs); status 1 "
               "if there is a problem");
  app.add_option("-o,--output", written.output, "of --check: table (default) or json")->take_last();
  app.add_flag("--version", flags.version, "print the version and end");
  app.add_option("-v,--v", written.verbosity, "verbosity as kube-proxy counts it: 4 is debug, 6 is trace")->take_last();
  app.add_option("--log-level", written.log_level, "trace, debug, info, warning or error")->take_last();
  for (const auto& option : options()) {
    if (option.flag.empty()) continue;
    const auto store = [&written, at = &option](const std::string& value) { written.fields[at] = given(value); };
    // const: add_flag() takes a string that it could write to for the place to put the result in.
    const auto meaning =
        option.meaning + (option.default_value.empty() ? "" : fmt::format(" (default {})", option.default_value));
    if (option.type == OptionType::boolean) {
      app.add_flag(option.flag, meaning)->take_last();
    } else {
      auto* added = app.add_option_function<std::string>(option.flag, store, meaning);
      if (option.type == OptionType::list || option.type == OptionType::map)
        added->join(',');
      else
        added->take_last();
    }
    app.get_option(option.flag)->group(option.use == Use::ignored ? "Accepted without effect" : "Configuration");
  }
}

YamlNode scalar(std::string text) {
  YamlNode node;
  node.kind = YamlNode::Kind::scalar;
  node.line = 1;
  node.text = std::move(text);
  return node;
}

// The value as it would stand in the file: "a,b" becomes a list, "a=true,b=false" a map.
YamlNode as_node(const Option& option, const std::string& text) {
  auto node = scalar(text);
  node.quoted = option.type == OptionType::text;  // the shell has no other type
  // Here, unlike in a file, an empty address was written on purpose.
  if (text.empty() && (option.name == "healthzBindAddress" || option.name == "metricsBindAddress")) node.text = "none";
  if (option.type != OptionType::list && option.type != OptionType::map) return node;
  node.kind = option.type == OptionType::list ? YamlNode::Kind::list : YamlNode::Kind::map;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const auto equals = part.find('=');
    if (option.type == OptionType::list)
      node.items.push_back(scalar(part));
    else
      node.members.push_back(
          {part.substr(0, equals), 1, scalar(equals == std::string::npos ? "" : part.substr(equals + 1))});
  }
  return node;
}

std::optional<LogLevel> log_level(const Written& written) {
  static constexpr std::array<std::pair<std::string_view, LogLevel>, 6> names{{{"trace", LogLevel::trace},
                                                                               {"debug", LogLevel::debug},
                                                                               {"info", LogLevel::info},
                                                                               {"warning", LogLevel::warning},
                                                                               {"warn", LogLevel::warning},
                                                                               {"error", LogLevel::error}}};
  if (!written.log_level.empty()) {
    for (const auto& [name, level] : names)
      if (name == written.log_level) return level;
    return {};
  }
  if (written.verbosity.empty()) return LogLevel::info;
  const auto value = parse_integer(written.verbosity);
  if (!value || *value < 0) return {};
  return *value >= 6 ? LogLevel::trace : *value >= 4 ? LogLevel::debug : LogLevel::info;
}

std::string lines(const std::vector<std::string>& texts) {
  std::string all;
  for (const auto& text : texts) all += text + "\n";
  return all;
}

tl::unexpected<CommandLineExit> usage(std::string text) {
  return tl::unexpected<CommandLineExit>(CommandLineExit{2, std::move(text) + "\n"});
}

// "--healthz-port=0" disables, another port goes to an address without one: as kube-proxy's flags do.
std::optional<CommandLineExit> apply_port(Written& written, const char* flag, const std::string& port,
                                          const char* option_name, const char* default_host) {
  if (port.empty()) return {};
  const auto number = parse_integer(port);
  if (!number || *number < 0 || *number > 65535)
    return CommandLineExit{2, fmt::format("{}: expected an integer from 0 to 65535, got \"{}\"\n", flag, port)};
  const Option* option = find_option(option_name);
  const auto given_address = written.fields.find(option);
  std::string host = given_address == written.fields.end() ? default_host : given_address->second;
  if (*number == 0) {
    written.fields[option] = "none";
  } else if (given_address == written.fields.end() || IpAddress::parse(host)) {
    if (host.find(':') != std::string::npos) host = "[" + host + "]";
    written.fields[option] = fmt::format("{}:{}", host, *number);
  }
  return {};
}

// The file's configuration with --hostname-override laid over it.
tl::expected<Flags, CommandLineExit> with_file(Written written) {
  auto& flags = written.flags;
  ConfigResult loaded;
  if (flags.check) {
    loaded = read_given_config(flags.config_file);
    if (!loaded) {
      flags.config_errors = std::move(loaded.error());
      loaded = LoadedConfig{default_config(), {}};
    }
  } else {
    auto text = read_config_text(flags.config_file);
    if (!text) return tl::unexpected<CommandLineExit>(CommandLineExit{1, text.error().message() + "\n"});
    flags.config_text = std::move(*text);
    loaded = parse_config(flags.config_text, flags.config_file);
    if (!loaded) return tl::unexpected<CommandLineExit>(CommandLineExit{1, lines(loaded.error())});
  }
  flags.config = std::move(loaded->config);
  flags.warnings = std::move(loaded->warnings);
  std::string ignored;
  std::optional<std::string> override_hostname;
  for (const auto& [option, value] : written.fields) {
    if (option->name == "hostnameOverride")
      override_hostname = value;
    else if (flags.check && option->name == "clientConnection.kubeconfig")
      flags.config.kubeconfig = value;
    else
      ignored += (ignored.empty() ? "" : ", ") + option->flag;
  }
  if (override_hostname) {
    const auto* option = find_option("hostnameOverride");
    for (const auto& problem : option->field.set(flags.config, scalar(*override_hostname)))
      return tl::unexpected<CommandLineExit>(
          CommandLineExit{2, fmt::format("{}: expected {}, got {}\n", option->flag, problem.expected, problem.got)});
  }
  if (!written.healthz_port.empty()) ignored += (ignored.empty() ? "" : ", ") + std::string("--healthz-port");
  if (!written.metrics_port.empty()) ignored += (ignored.empty() ? "" : ", ") + std::string("--metrics-port");
  if (!ignored.empty()) flags.warnings.push_back(fmt::format("--config is given: ignored {}", ignored));
  return std::move(flags);
}

tl::expected<Flags, CommandLineExit> finish(Written written) {
  auto& flags = written.flags;
  const auto level = log_level(written);
  if (!level && !written.log_level.empty())
    return usage(
        fmt::format("--log-level: expected trace, debug, info, warning or error, got \"{}\"", written.log_level));
  if (!level) return usage(fmt::format("-v: expected an integer from 0, got \"{}\"", written.verbosity));
  flags.log_level = *level;
  if (!written.output.empty() && (!flags.check || (written.output != "table" && written.output != "json")))
    return usage(fmt::format("--output: expected table or json, beside --check, got \"{}\"", written.output));
  flags.output = written.output == "json" ? OutputFormat::json : OutputFormat::table;
  if (!flags.manifests.empty() && !flags.master.empty()) return usage("--manifests and --master exclude each other");
  if (!flags.config_file.empty()) return with_file(std::move(written));

  const bool ipv6 = written.fields.contains(find_option("bindAddress")) &&
                    written.fields.at(find_option("bindAddress")).find(':') != std::string::npos;
  for (const auto& wrong :
       {apply_port(written, "--healthz-port", written.healthz_port, "healthzBindAddress", ipv6 ? "::" : "0.0.0.0"),
        apply_port(written, "--metrics-port", written.metrics_port, "metricsBindAddress", ipv6 ? "::1" : "127.0.0.1")})
    if (wrong) return tl::unexpected<CommandLineExit>(*wrong);
  ConfigDraft draft("");
  for (const auto& [option, value] : written.fields) draft.set(*option, as_node(*option, value), option->flag);
  if (!flags.manifests.empty() && draft.has("clientConnection.kubeconfig"))
    draft.error(1, "--manifests and --kubeconfig exclude each other");
  auto loaded = std::move(draft).finish();
  if (!loaded) return tl::unexpected<CommandLineExit>(CommandLineExit{2, lines(loaded.error())});
  flags.config = std::move(loaded->config);
  flags.warnings = std::move(loaded->warnings);
  return std::move(flags);
}

}  // namespace

tl::expected<Flags, CommandLineExit> parse_flags(int argc, const char* const* argv) {
  Written written;
  CLI::App app("kube-ipvsd keeps the node's IPVS table equal to the cluster's Services.", "kube-ipvsd");
  try {
    declare(app, written);
    auto arguments = normalised(argc, argv);
    // CLI11 takes a vector from its end.
    std::reverse(arguments.begin(), arguments.end());
    app.parse(std::move(arguments));
    for (const auto& option : options()) {
      if (option.type != OptionType::boolean || option.flag.empty()) continue;
      if (const auto* flag = app.get_option(option.flag); flag->count() > 0)
        written.fields[&option] = given(flag->results().back());
    }
    for (auto* text :
         {&written.flags.config_file, &written.flags.manifests, &written.flags.master, &written.flags.write_config_to,
          &written.verbosity, &written.log_level, &written.healthz_port, &written.metrics_port, &written.output})
      *text = given(*text);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const int status = app.exit(error, out, err);
    return tl::unexpected<CommandLineExit>(CommandLineExit{status == 0 ? 0 : 2, out.str() + err.str()});
  } catch (const std::exception& error) {
    return usage(error.what());
  }
  return finish(std::move(written));
}

}  // namespace ipvsd
