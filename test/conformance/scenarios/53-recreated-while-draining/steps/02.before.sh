"$TRAFFIC" request tcp 10.96.19.1 80 --count 8 --timeout 100 --quiet || true
