// A netlink socket with deadlines. It knows messages, sequence numbers and acknowledgements, and nothing of what the
// messages mean.
//
// Facts relied on: the kernel works a request off inside the send, so its answers lie in the receive buffer when the
// send returns; it always answers a failing message, and a succeeding one only if it carries NLM_F_ACK; a message with
// a wrong nlmsg_len gets no answer at all (net/netlink/af_netlink.c, netlink_rcv_skb).
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/kernel.hpp"
#include "netlink/message.hpp"

struct nl_sock;

namespace ipvsd::nl {

inline constexpr std::size_t batch_limit = 64U << 10;  // bytes per send
inline constexpr std::chrono::milliseconds answer_deadline{5000};

// One thread at a time.
class Socket {
 public:
  // `protocol`: NETLINK_ROUTE, NETLINK_GENERIC, NETLINK_NETFILTER. `name` starts every error.
  [[nodiscard]] static Result<Socket> open(int protocol, std::string name);

  // Joins a multicast group (RTNLGRP_*).
  [[nodiscard]] Result<void> join(int group);

  [[nodiscard]] std::uint32_t next_sequence() const { return next_sequence_; }

  // Sends the batch with an acknowledgement asked for on its last message only, and collects the errors. Failure.index
  // counts the batch's messages. Where answers are lost or late, every message of unknown outcome fails with overrun or
  // timed_out.
  [[nodiscard]] std::vector<Failure> transact(Batch& batch);

  // Sends the requests in `batch` and hands each answer to `visit` until the kernel is done with the last one. With
  // NLM_F_DUMP in it that is NLMSG_DONE, otherwise the acknowledgement; only the last one may be a dump. Error:
  // interrupted where the kernel marked the dump so (NLM_F_DUMP_INTR), overrun, timed_out, or the first error the
  // kernel answered with. The deadline is for each part of the answer: a large dump takes what it takes.
  using Visit = std::function<void(const Message&)>;
  [[nodiscard]] Result<void> query(Batch& batch, const Visit& visit);

  // The same in pieces, for dumps that are too long to be read in one go: ask once, and call next_answer(), which reads
  // one datagram, until it returns false or an error. Nothing else may be sent meanwhile.
  [[nodiscard]] Result<void> ask(Batch& batch) { return send(batch, NLM_F_ACK); }
  [[nodiscard]] Result<bool> next_answer(const Batch& batch, const Visit& visit);

  // Hands over what has arrived on joined groups, without blocking. Error: overrun when notifications were lost.
  [[nodiscard]] Result<void> receive_notifications(const Visit& visit);

  [[nodiscard]] int fd() const;
  [[nodiscard]] nl_sock* native() const { return socket_.get(); }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  struct Close {
    void operator()(nl_sock* socket) const;
  };
  // Starts at the first wait: the kernel has mostly answered by then, and needs no look at the clock.
  class Deadline {
   public:
    explicit Deadline(std::chrono::milliseconds patience) : patience_(patience) {}
    [[nodiscard]] std::chrono::milliseconds left();

   private:
    std::chrono::milliseconds patience_;
    std::optional<std::chrono::steady_clock::time_point> end_;
  };
  static constexpr std::size_t datagram_count = 4;

  Socket(std::unique_ptr<nl_sock, Close> socket, std::string name);
  [[nodiscard]] Result<void> send(Batch& batch, std::uint16_t flags);
  [[nodiscard]] Result<bool> read_answers(const Batch& batch, const Visit& visit, Result<void>& outcome);
  // Answers that came too late or were part of too many: their room is needed.
  void discard_stale();
  // One datagram from the kernel, before the deadline; empty if one came from somebody else and was dropped.
  [[nodiscard]] Result<Bytes> receive(Deadline& deadline);
  // As many as have come, from one to `limit`, in one system call; they are valid until the next.
  [[nodiscard]] Result<std::span<const Bytes>> receive_some(Deadline& deadline, std::size_t limit);

  std::unique_ptr<nl_sock, Close> socket_;
  std::string name_;
  std::array<Bytes, datagram_count> datagrams_;
  std::uint32_t next_sequence_ = 1;
  // Of several datagrams: memory that no answer fills is never touched.
  std::unique_ptr<std::uint8_t[]> buffer_;
  bool stale_ = false;  // answers to an earlier batch may still lie in the receive buffer
};

// The errno of an NLMSG_ERROR or NLMSG_DONE message as a positive number, 0 for an acknowledgement; EPROTO for a code
// that is neither an errno nor one of ipset's (IPSET_ERR_*).
[[nodiscard]] int error_of(const Message& message);

}  // namespace ipvsd::nl
