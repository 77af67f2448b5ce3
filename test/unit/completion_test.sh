#!/bin/bash
# What bash, zsh and fish make of the completion that kube-ipvsctl writes for them, asked as a user would ask.
#   completion_test.sh KUBE-IPVSCTL
set -u
ctl=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
# equal WHAT EXPECTED FOUND
equal() {
  [ "$2" = "$3" ] && return
  echo "FAILED: $1: expected \"$2\", found \"$3\""
  status=1
}
# The names that a daemon would know; and the command line that was completed.
cat >"$work/kube-ipvsctl" <<'STUB'
#!/bin/sh
if [ "$*" = "completion names" ]; then printf 'default/web\nother/dns\nother/files\n'; else echo "got <$*>"; fi
STUB
chmod +x "$work/kube-ipvsctl"
export PATH=$work:$PATH HOME=$work ZDOTDIR=$work
for shell in bash zsh fish; do
  "$ctl" completion $shell >"$work/completion.$shell" || exit 1
  [ -s "$work/completion.$shell" ] || exit 1
done

completes_bash() {
  # shellcheck disable=SC1091
  (. "$work/completion.bash" && COMP_WORDS=(kube-ipvsctl "$@") && COMP_CWORD=$# && _kube_ipvsctl && echo "${COMPREPLY[*]}")
}
completes_fish() {
  fish --no-config -c "source $work/completion.fish; complete -C 'kube-ipvsctl $*'" | cut -f 1 | sort | paste -s -d ' '
}
# On a terminal: the word, the tab key, and what the command is then called with.
completes_zsh() {
  /usr/bin/python3 - "$work/completion.zsh" "$*" <<'PYTHON'
import os, pty, re, select, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="dumb", PS1="ready> ")
    os.execvp("zsh", ["zsh", "-f", "-i"])
def until(pattern):
    seen, deadline = b"", time.monotonic() + 20
    while not (found := re.search(pattern, seen)):
        left = deadline - time.monotonic()
        assert left > 0 and select.select([terminal], [], [], left)[0], seen
        seen += os.read(terminal, 65536)
    return found
until(rb"ready> ")
os.write(terminal, f"autoload -U compinit && compinit -u -D && source {sys.argv[1]} && echo lo''aded\n".encode())
until(rb"(?s)loaded\r?\n.*ready> ")
os.write(terminal, f"kube-ipvsctl {sys.argv[2]}\t\n".encode())
print(until(rb"got <([^>]*)>")[1].decode())
os.write(terminal, b"exit\n")
os.waitpid(pid, 0)
PYTHON
}

equal "bash: a command" "dump" "$(completes_bash du)"
equal "bash: a Service" "default/web" "$(completes_bash dump def)"
equal "bash: by its name alone" "default/web" "$(completes_bash dump we)"
equal "bash: a namespace" "other/dns other/files" "$(completes_bash explain oth)"
equal "bash: an option" "--members --manifests" "$(completes_bash dump --m)"
equal "bash: nothing" "" "$(completes_bash dump nobody)"
if command -v fish >/dev/null; then
  fish --no-execute "$work/completion.fish" || status=1
  equal "fish: a command" "dump" "$(completes_fish du)"
  equal "fish: a Service" "default/web" "$(completes_fish dump def)"
  equal "fish: by its name alone" "default/web" "$(completes_fish dump we)"
  equal "fish: a namespace" "other/dns other/files" "$(completes_fish explain oth)"
  equal "fish: an option" "--manifests --members" "$(completes_fish dump --m)"
else
  echo "not checked: no fish"
fi
if command -v zsh >/dev/null; then
  zsh -n "$work/completion.zsh" || status=1
  equal "zsh: a command" "dump" "$(completes_zsh du)"
  equal "zsh: a Service" "dump default/web" "$(completes_zsh dump def)"
  equal "zsh: by its name alone" "dump default/web" "$(completes_zsh dump we)"
  equal "zsh: an option" "dump --members" "$(completes_zsh dump --mem)"
else
  echo "not checked: no zsh"
fi
exit $status
