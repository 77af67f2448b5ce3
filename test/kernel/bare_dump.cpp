// What reading all of IPVS costs at the least: dumps every virtual server and, for each, its destinations, and looks at
// nothing but the messages' headers. The floor that `kube-ipvsctl dump` is measured against.
//   bare_dump [SIZE [COUNT]]   receive buffers of SIZE bytes, COUNT to a system call (default 16384, 2)
// Prints "VIRTUAL-SERVERS DESTINATIONS MICROSECONDS".
#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

int fd = -1;
std::vector<std::vector<char>> buffers;
std::vector<iovec> vectors;
std::vector<mmsghdr> headers;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

void append(std::string& message, const void* bytes, std::size_t size) {
  message.append(static_cast<const char*>(bytes), size);
  message.append((4 - size % 4) % 4, '\0');
}

void append_attribute(std::string& message, std::uint16_t type, const void* bytes, std::size_t size) {
  const nlattr header{static_cast<std::uint16_t>(sizeof header + size), type};
  append(message, &header, sizeof header);
  append(message, bytes, size);
}

std::string request(std::uint16_t type, std::uint16_t flags, std::uint8_t command) {
  std::string message;
  const nlmsghdr header{0, type, flags, 1, 0};
  const genlmsghdr generic{command, 1, 0};
  append(message, &header, sizeof header);
  append(message, &generic, sizeof generic);
  return message;
}

// Calls visit(payload, size) for each answer until the kernel is done.
template <class Visit>
void query(std::string& message, Visit visit) {
  const auto length = static_cast<std::uint32_t>(message.size());
  std::memcpy(message.data(), &length, sizeof length);
  if (::send(fd, message.data(), message.size(), 0) < 0) die("send");
  for (;;) {
    const int count = ::recvmmsg(fd, headers.data(), static_cast<unsigned>(headers.size()), MSG_DONTWAIT, nullptr);
    if (count < 0) die("recvmmsg");
    for (int i = 0; i < count; ++i) {
      const auto slot = static_cast<std::size_t>(i);
      auto size = static_cast<int>(headers[slot].msg_len);
      for (auto* header = reinterpret_cast<nlmsghdr*>(buffers[slot].data());
           NLMSG_OK(header, static_cast<unsigned>(size)); header = NLMSG_NEXT(header, size)) {
        if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) return;
        visit(reinterpret_cast<const char*>(header) + NLMSG_HDRLEN, header->nlmsg_len - NLMSG_HDRLEN);
      }
    }
  }
}

std::uint16_t family_id() {
  auto message = request(GENL_ID_CTRL, NLM_F_REQUEST, CTRL_CMD_GETFAMILY);
  append_attribute(message, CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME, sizeof IPVS_GENL_NAME);
  std::uint16_t id = 0;
  // Without NLM_F_DUMP and NLM_F_ACK there is the one answer only.
  const auto length = static_cast<std::uint32_t>(message.size());
  std::memcpy(message.data(), &length, sizeof length);
  if (::send(fd, message.data(), message.size(), 0) < 0) die("send");
  const auto size = ::recv(fd, buffers[0].data(), buffers[0].size(), 0);
  for (std::size_t at = NLMSG_HDRLEN + GENL_HDRLEN; at + sizeof(nlattr) <= static_cast<std::size_t>(size);) {
    nlattr attribute{};
    std::memcpy(&attribute, buffers[0].data() + at, sizeof attribute);
    if (attribute.nla_type == CTRL_ATTR_FAMILY_ID)
      std::memcpy(&id, buffers[0].data() + at + sizeof attribute, sizeof id);
    at += (attribute.nla_len + 3U) & ~3U;
  }
  if (id == 0) {
    std::fputs("bare_dump: no IPVS\n", stderr);
    std::exit(1);
  }
  return id;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t size = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 16384;
  const std::size_t count = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 2;
  buffers.assign(count, std::vector<char>(size));
  for (auto& buffer : buffers) vectors.push_back({buffer.data(), buffer.size()});
  for (auto& vector : vectors) {
    mmsghdr header{};
    header.msg_hdr.msg_iov = &vector;
    header.msg_hdr.msg_iovlen = 1;
    headers.push_back(header);
  }
  fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  if (fd < 0) die("socket");
  const auto id = family_id();

  const auto start = std::chrono::steady_clock::now();
  std::vector<std::string> servers;  // the request for each one's destinations
  auto dump = request(id, NLM_F_REQUEST | NLM_F_DUMP, IPVS_CMD_GET_SERVICE);
  query(dump, [&](const char* payload, std::size_t length) {
    // IPVS_CMD_ATTR_SERVICE's first attributes are the key; the kernel skips the others.
    servers.push_back(request(id, NLM_F_REQUEST | NLM_F_DUMP, IPVS_CMD_GET_DEST));
    servers.back().append(payload + GENL_HDRLEN, length - GENL_HDRLEN);
  });
  std::size_t destinations = 0;
  for (auto& server : servers) query(server, [&](const char*, std::size_t) { ++destinations; });
  const auto took = std::chrono::steady_clock::now() - start;
  std::printf("%zu %zu %ld\n", servers.size(), destinations,
              static_cast<long>(std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
  return 0;
}
