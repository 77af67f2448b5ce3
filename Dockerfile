# The image of kube-ipvsd: the two programs, the libraries they need, both iptables backends and kmod on Debian 12;
# no shell, no package manager.
#   docker build -t REGISTRY/kube-ipvsd:VERSION .
#   docker buildx build --platform linux/amd64,linux/arm64 ...

FROM debian:12 AS build
COPY scripts/deps.sh /source/scripts/
RUN /source/scripts/deps.sh build image && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN meson setup /build /source --buildtype=release -Dtests=false && ninja -C /build
# What the programs link with, what they run (iptables-*, modprobe), and what those need in turn.
ARG PACKAGES="iptables kmod libc6 libcpp-httplib0.11 libfmt9 libgcc-s1 libipset13 libnl-3-200 libnl-genl-3-200 \
  libprometheus-cpp-core1.0 libsimdjson14 libspdlog1.10 libssl3 libstdc++6 libyaml-cpp0.7"
RUN /source/scripts/rootfs.sh /rootfs /build/daemon/kube-ipvsd /build/ctl/kube-ipvsctl \
  "$(meson introspect --projectinfo /build | python3 -c 'import json, sys; print(json.load(sys.stdin)["version"])')" \
  $PACKAGES

FROM scratch
COPY --from=build /rootfs /
ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin
ENTRYPOINT ["/usr/sbin/kube-ipvsd"]
