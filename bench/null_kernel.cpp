#include "bench/null_kernel.hpp"

#include <dlfcn.h>
#include <linux/genetlink.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip_vs.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <vector>

#include "netlink/message.hpp"

namespace {

using ipvsd::bench::NetlinkCalls;
using ipvsd::nl::AttributeCursor;
using ipvsd::nl::Bytes;
using ipvsd::nl::bytes_of;

constexpr std::uint16_t ipvs_family = 0x20;
constexpr int highest_fd = 1024;

NetlinkCalls calls;

struct Answers {
  bool open = false;
  std::deque<std::vector<std::uint8_t>> waiting;
};
std::array<Answers, highest_fd> sockets;

Answers* find(int fd) {
  return fd >= 0 && fd < highest_fd && sockets[static_cast<std::size_t>(fd)].open
             ? &sockets[static_cast<std::size_t>(fd)]
             : nullptr;
}

template <class Function>
Function* original(Function*, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}
#define ORIGINAL(function) original(&::function, #function)

class Answer {
 public:
  explicit Answer(const nlmsghdr& request) : request_(request) {}

  template <class Header>
  void begin(std::uint16_t type, std::uint16_t flags, const Header& header) {
    const std::size_t start = bytes_.size();
    nlmsghdr message = request_;
    message.nlmsg_type = type;
    message.nlmsg_flags = flags;
    message.nlmsg_pid = 0;
    append(bytes_of(message));
    append(bytes_of(header));
    close(start);
  }
  void attribute(std::uint16_t type, Bytes payload) {
    append(bytes_of(nlattr{static_cast<std::uint16_t>(sizeof(nlattr) + payload.size()), type}));
    append(payload);
    close(last_);
  }
  void attribute(std::uint16_t type, const char* text) {
    attribute(type, Bytes(reinterpret_cast<const std::uint8_t*>(text), std::strlen(text) + 1));
  }
  void acknowledge() {
    nlmsgerr error{};
    error.msg = request_;
    begin(NLMSG_ERROR, NLM_F_CAPPED, error);
  }
  // With the request behind it, which libipset reads.
  void refuse(int failure, Bytes payload) {
    nlmsgerr error{};
    error.error = -failure;
    error.msg = request_;
    begin(NLMSG_ERROR, 0, error);
    append(payload);
    close(last_);
  }
  void done() { begin(NLMSG_DONE, NLM_F_MULTI, std::int32_t{0}); }
  [[nodiscard]] std::vector<std::uint8_t> take() { return std::move(bytes_); }

 private:
  void append(Bytes bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    bytes_.resize((bytes_.size() + 3) & ~std::size_t{3});
  }
  void close(std::size_t start) {
    last_ = start;
    const auto length = static_cast<std::uint32_t>(bytes_.size() - start);
    std::memcpy(bytes_.data() + start, &length, sizeof length);
  }

  const nlmsghdr& request_;
  std::vector<std::uint8_t> bytes_;
  std::size_t last_ = 0;
};

void answer_set(Answer& answer, const nlmsghdr& request, Bytes payload) {
  const auto command = request.nlmsg_type & 0xff;
  const nfgenmsg header{AF_INET, NFNETLINK_V0, 0};
  const std::uint8_t protocol = IPSET_PROTOCOL;
  if (command == IPSET_CMD_PROTOCOL) {
    answer.begin(request.nlmsg_type, 0, header);
    answer.attribute(IPSET_ATTR_PROTOCOL, bytes_of(protocol));
    answer.attribute(IPSET_ATTR_PROTOCOL_MIN, bytes_of(protocol));
  } else if (command == IPSET_CMD_TYPE) {
    answer.begin(request.nlmsg_type, 0, header);
    answer.attribute(IPSET_ATTR_PROTOCOL, bytes_of(protocol));
    AttributeCursor cursor(payload.subspan(sizeof(nfgenmsg)));
    while (const auto attribute = cursor.next())
      if (attribute->type == IPSET_ATTR_TYPENAME || attribute->type == IPSET_ATTR_FAMILY)
        answer.attribute(attribute->type, attribute->payload);
    const std::uint8_t revision = 0;
    const std::uint8_t newest = 3;
    answer.attribute(IPSET_ATTR_REVISION, bytes_of(newest));
    answer.attribute(IPSET_ATTR_REVISION_MIN, bytes_of(revision));
  } else if (command == IPSET_CMD_LIST) {
    answer.refuse(ENOENT, payload);
  }
}

void answer_one(Answer& answer, const nlmsghdr& request, Bytes payload) {
  if ((request.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP && request.nlmsg_type >> 8 != NFNL_SUBSYS_IPSET) {
    ++calls.dumps;
    return answer.done();
  }
  if (request.nlmsg_type == GENL_ID_CTRL) {
    answer.begin(GENL_ID_CTRL, 0, genlmsghdr{CTRL_CMD_NEWFAMILY, 2, 0});
    answer.attribute(CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME);
    answer.attribute(CTRL_ATTR_FAMILY_ID, bytes_of(ipvs_family));
  } else if (request.nlmsg_type == RTM_GETLINK) {
    ifinfomsg link{};
    link.ifi_index = 7;
    answer.begin(RTM_NEWLINK, 0, link);
    answer.attribute(IFLA_IFNAME, "kube-ipvs0");
    std::array<std::uint8_t, 12> kind{};
    const nlattr header{10, IFLA_INFO_KIND};
    std::memcpy(kind.data(), &header, sizeof header);
    std::memcpy(kind.data() + sizeof header, "dummy", 6);
    answer.attribute(IFLA_LINKINFO, kind);
  } else if (request.nlmsg_type >> 8 == NFNL_SUBSYS_IPSET) {
    answer_set(answer, request, payload);
  }
}

ssize_t send_to_kernel(Answers& socket, Bytes bytes) {
  ++calls.sends;
  calls.bytes += bytes.size();
  ipvsd::nl::MessageCursor messages(bytes);
  while (const auto message = messages.next()) {
    ++calls.messages;
    Answer answer(message->header);
    answer_one(answer, message->header, message->payload);
    if (auto datagram = answer.take(); !datagram.empty()) socket.waiting.push_back(std::move(datagram));
    if ((message->header.nlmsg_flags & NLM_F_ACK) == 0 || (message->header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP)
      continue;
    Answer acknowledgement(message->header);
    acknowledgement.acknowledge();
    socket.waiting.push_back(acknowledgement.take());
  }
  return static_cast<ssize_t>(bytes.size());
}

ssize_t receive_from_kernel(Answers& socket, msghdr* message, int flags) {
  ++calls.receives;
  if (socket.waiting.empty()) {
    errno = EAGAIN;
    return -1;
  }
  const auto& datagram = socket.waiting.front();
  const iovec& into = *message->msg_iov;
  const std::size_t size = std::min(datagram.size(), into.iov_len);
  std::memcpy(into.iov_base, datagram.data(), size);
  message->msg_flags = size < datagram.size() ? MSG_TRUNC : 0;
  message->msg_controllen = 0;
  sockaddr_nl from{};
  from.nl_family = AF_NETLINK;
  if (message->msg_name != nullptr) std::memcpy(message->msg_name, &from, sizeof from);
  message->msg_namelen = sizeof from;
  const auto whole = static_cast<ssize_t>((flags & MSG_TRUNC) != 0 ? datagram.size() : size);
  if ((flags & MSG_PEEK) == 0) socket.waiting.pop_front();
  return whole;
}

}  // namespace

NetlinkCalls ipvsd::bench::netlink_calls() { return calls; }

extern "C" {

int socket(int domain, int type, int protocol) {
  if (domain != AF_NETLINK) return ORIGINAL(socket)(domain, type, protocol);
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);  // a descriptor to wait on that never becomes readable
  if (fd >= highest_fd) std::abort();
  sockets[static_cast<std::size_t>(fd)] = {true, {}};
  return fd;
}

int close(int fd) {
  if (Answers* known = find(fd)) *known = {};
  static const auto call = ORIGINAL(close);
  return call(fd);
}

int bind(int fd, const sockaddr* address, socklen_t size) {
  return find(fd) != nullptr ? 0 : ORIGINAL(bind)(fd, address, size);
}

int setsockopt(int fd, int level, int option, const void* value, socklen_t size) {
  return find(fd) != nullptr ? 0 : ORIGINAL(setsockopt)(fd, level, option, value, size);
}

int getsockname(int fd, sockaddr* address, socklen_t* size) {
  if (find(fd) == nullptr) return ORIGINAL(getsockname)(fd, address, size);
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;
  own.nl_pid = static_cast<std::uint32_t>(fd);
  std::memcpy(address, &own, sizeof own);
  *size = sizeof own;
  return 0;
}

ssize_t sendto(int fd, const void* bytes, std::size_t size, int flags, const sockaddr* to, socklen_t to_size) {
  static const auto call = ORIGINAL(sendto);
  if (Answers* known = find(fd)) return send_to_kernel(*known, {static_cast<const std::uint8_t*>(bytes), size});
  return call(fd, bytes, size, flags, to, to_size);
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  static const auto call = ORIGINAL(sendmsg);
  if (Answers* known = find(fd))
    return send_to_kernel(*known,
                          {static_cast<const std::uint8_t*>(message->msg_iov->iov_base), message->msg_iov->iov_len});
  return call(fd, message, flags);
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
  static const auto call = ORIGINAL(recvmsg);
  if (Answers* known = find(fd)) return receive_from_kernel(*known, message, flags);
  return call(fd, message, flags);
}

int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  static const auto call = ORIGINAL(recvmmsg);
  Answers* known = find(fd);
  if (known == nullptr) return call(fd, messages, count, flags, timeout);
  unsigned received = 0;
  for (; received < count; ++received) {
    const auto length = receive_from_kernel(*known, &messages[received].msg_hdr, flags);
    if (length < 0) break;
    messages[received].msg_len = static_cast<unsigned>(length);
  }
  return received > 0 ? static_cast<int>(received) : -1;
}

}  // extern "C"
