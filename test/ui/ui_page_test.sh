#!/bin/bash
# The page of kube-ipvsctl ui in a headless Chromium, over recorded answers: ui_page_test.sh UI_RECORDED
# With UI_SCREENSHOTS=DIR the two screenshots are kept there.
set -u
here=$(dirname "$(realpath "$0")")
browser=$(command -v chromium) || { echo "skipped: no chromium"; exit 77; }
work=$(mktemp -d) || exit 1
server=
trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT
mkfifo "$work/input" && exec {input}<>"$work/input"
"$1" "$here/recorded" <"$work/input" >"$work/port" &
server=$!
deadline=$((SECONDS + 20))
until [ -s "$work/port" ]; do
  [ $SECONDS -lt $deadline ] && kill -0 $server || { echo "FAILED: no server"; exit 1; }
  read -r -t 0.05 -u "$input"
done
page=http://127.0.0.1:$(cat "$work/port")/
status=0
failed() {
  echo "FAILED: $*"
  status=1
}

browse() {
  HOME=$work timeout 60 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
    --disable-background-networking --hide-scrollbars --user-data-dir="$work/profile" --virtual-time-budget=3000 \
    "$@" 2>"$work/browser"
}
browse --dump-dom "$page#open=default/web" >"$work/dom" || { tail "$work/browser"; failed "the browser ended so"; }
has() { grep -qF -e "$1" "$work/dom" || failed "the page has no $1"; }
has 'data-ready="yes"'
has 'IPVS on lab-node'
has '>not healthy<'
has '>monitoring/prometheus-kube-prometheus-prometheus<'
has '10.244.1.13:8080'
has '>draining<'
has '>default/web-7d9f8b6c5-x2x9q<'
has 'try modprobe ip_vs_mh'
has '203.0.113.9:80/TCP: default/web has it, shop/front does not'
has '1 virtual servers, 2 addresses and 0 set entries'
grep -q 'aria-sort="descending"' "$work/dom" || failed "no order is shown"
browse --dump-dom "$page#search=dns" >"$work/dom"
has '>kube-system/kube-dns<'
if grep -qF '>default/api<' "$work/dom"; then failed "the search leaves what does not match"; fi

for size in 1280x800 390x844; do
  image=${UI_SCREENSHOTS:-$work}/ui-$size.png
  browse --window-size=${size/x/,} --screenshot="$image" "$page#open=default/web" >/dev/null
  # Width and height stand behind the eight bytes of the signature and the head of the first chunk.
  found=$(od -An -tu1 -j16 -N8 "$image" | awk '{ print $3 * 256 + $4 "x" $7 * 256 + $8 }')
  [ "$found" = $size ] || failed "the screenshot of $size is $found"
done
exit $status
