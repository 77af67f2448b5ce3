// The least a program can do to have the kernel perform operations: messages made beforehand, 64 KiB to a send, an
// acknowledgement of the last one only, one buffer to receive into. Its time is the kernel's own cost.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "model/kernel.hpp"
#include "os/fd.hpp"

namespace ipvsd::bench {

class RawWriter {
 public:
  RawWriter();

  // All additions, in an order in which nothing relies on what comes later. The link and the sets exist. Returns the
  // seconds from the first send to the last acknowledgement. Throws where an operation fails.
  double write(std::span<const Operation> operations);

  // Operations of any verb about destinations and set entries, each piece on its own: one send to IPVS, and one to the
  // sets where it needs them, acknowledged before the next. Returns the CPU seconds of this thread.
  double replay(std::span<const std::vector<Operation>> pieces);

  // Reads what is there as a start does, and throws it away: virtual servers, the destinations of each, the addresses,
  // the sets. Returns the seconds.
  double read(std::span<const VirtualServerKey> servers);

  std::array<double, 3> by_channel{};  // seconds: IPVS, addresses, sets

 private:
  struct Request {
    int socket;
    std::vector<std::uint8_t> bytes;
  };
  std::vector<std::uint8_t> receive(int socket);
  void await(int socket);
  void drain(int socket);

  Fd generic_;
  Fd route_;
  Fd netfilter_;
  std::uint16_t ipvs_ = 0;
  std::uint32_t link_ = 0;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace ipvsd::bench
