#include <fmt/format.h>

#include <memory>

#include "ctl/cluster_names.hpp"
#include "ctl/command_cluster.hpp"

namespace ipvsd::ctl {
namespace {

struct CompletionWords {
  std::string shell;
  std::string socket{default_ctl_socket};
};

struct CommandWords {
  std::string name;
  std::string description;  // its first sentence
  std::string options;      // "--output --members"
  bool takes_services = false;
};

// The command line as it was declared is all that the scripts know.
std::vector<CommandWords> commands_of(const CLI::App& app) {
  std::vector<CommandWords> commands;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    CommandWords words{command->get_name(), command->get_description(), {}, false};
    for (const auto* option : command->get_options()) {
      for (const auto& name : option->get_lnames()) words.options += (words.options.empty() ? "--" : " --") + name;
      words.takes_services = words.takes_services || option->get_positional();
    }
    commands.push_back(std::move(words));
  }
  return commands;
}

std::string names_of(const std::vector<CommandWords>& commands) {
  std::string names;
  for (const auto& command : commands) names += (names.empty() ? "" : " ") + command.name;
  return names;
}

std::string bash_script(const std::vector<CommandWords>& commands) {
  std::string cases;
  for (const auto& command : commands) {
    const std::string positional = command.name == "completion" ? "bash zsh fish"
                                   : command.takes_services     ? "$(kube-ipvsctl completion names 2>/dev/null)"
                                                                : "";
    cases += fmt::format("    {}) options='{}' words=\"{}\" ;;\n", command.name, command.options, positional);
  }
  return fmt::format(R"(# bash completion of kube-ipvsctl: source <(kube-ipvsctl completion bash)
_kube_ipvsctl() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} options= words=
  if [ "$COMP_CWORD" = 1 ]; then
    options='--help --version' words='{}'
  else
    case ${{COMP_WORDS[1]}} in
{}    esac
  fi
  case $current in
    -*) COMPREPLY=($(compgen -W "$options" -- "$current")) ;;
    *)
      COMPREPLY=($(compgen -W "$words" -- "$current"))
      # A name without its namespace.
      if [ ${{#COMPREPLY[@]}} = 0 ] && [ -n "$current" ]; then
        local word
        for word in $words; do [[ $word != */"$current"* ]] || COMPREPLY+=("$word"); done
      fi
      ;;
  esac
}}
complete -o default -F _kube_ipvsctl kube-ipvsctl
)",
                     names_of(commands), cases);
}

std::string zsh_script(const std::vector<CommandWords>& commands) {
  std::string cases;
  for (const auto& command : commands) {
    const std::string positional = command.name == "completion" ? "bash zsh fish"
                                   : command.takes_services ? "${(f)\"$(kube-ipvsctl completion names 2>/dev/null)\"}"
                                                            : "";
    cases += fmt::format("    {}) options=({}) words=({}) ;;\n", command.name, command.options, positional);
  }
  return fmt::format(R"(#compdef kube-ipvsctl
# zsh completion of kube-ipvsctl: source <(kube-ipvsctl completion zsh)
_kube_ipvsctl() {{
  local -a options line
  line=($words)
  local -a words
  if (( CURRENT == 2 )); then
    options=(--help --version) words=({})
  else
    case $line[2] in
{}    esac
  fi
  if [[ $PREFIX == -* ]]; then compadd -- $options; else compadd -- $words || compadd -M 'l:|=*' -- $words || _files; fi
}}
compdef _kube_ipvsctl kube-ipvsctl
)",
                     names_of(commands), cases);
}

// Within single quotes.
std::string fish_quoted(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted;
}

std::string fish_script(const std::vector<CommandWords>& commands) {
  std::string text =
      "# fish completion of kube-ipvsctl: kube-ipvsctl completion fish | source\n"
      "complete -c kube-ipvsctl -f\n";
  for (const auto& command : commands) {
    text += fmt::format("complete -c kube-ipvsctl -n __fish_use_subcommand -a {} -d '{}'\n", command.name,
                        fish_quoted(command.description));
    const auto here = fmt::format("complete -c kube-ipvsctl -n '__fish_seen_subcommand_from {}'", command.name);
    std::string_view options = command.options;
    while (!options.empty()) {
      const auto word = options.substr(0, options.find(' '));
      text += fmt::format("{} -l {}\n", here, word.substr(2));
      options.remove_prefix(std::min(word.size() + 1, options.size()));
    }
    if (command.name == "completion")
      text += here + " -a 'bash zsh fish'\n";
    else if (command.takes_services)
      text += here + " -a '(kube-ipvsctl completion names 2>/dev/null)'\n";
  }
  return text;
}

int run_completion(const CLI::App& app, const CompletionWords& words) {
  const auto commands = commands_of(app);
  if (words.shell == "bash") return finish(write_out(bash_script(commands)));
  if (words.shell == "zsh") return finish(write_out(zsh_script(commands)));
  if (words.shell == "fish") return finish(write_out(fish_script(commands)));
  if (words.shell != "names")
    return complain({Errc::malformed, 0, "completion is there for bash, zsh and fish"}, usage_status);
  // What the scripts ask for; a shell shows no errors, so there are none.
  ClusterWords cluster;
  cluster.socket = words.socket;
  const auto names = read_names(cluster, [](const std::string&) {});
  std::string text;
  if (names)
    for (const auto& name : names->services()) text += name + "\n";
  return finish(write_out(text));
}

}  // namespace

Command declare_completion(CLI::App& app) {
  const auto words = std::make_shared<CompletionWords>();  // shared: as in declare_dump()
  auto* command = app.add_subcommand("completion", "The shell's completion: source <(kube-ipvsctl completion bash)");
  command->add_option("SHELL", words->shell, "bash, zsh or fish; or names, the Services that the daemon knows")
      ->required();
  add_socket_option(*command, words->socket);
  return {command, [words, &app] { return run_completion(app, *words); }};
}

}  // namespace ipvsd::ctl
