#include "daemon/source/reflector_reading.hpp"

#include <fmt/format.h>

namespace ipvsd {
namespace {

using Verb = Ask::Verb;
using End = Outcome::End;

// Small enough that its memory stays in the heap from batch to batch.
constexpr std::size_t batch_size = 64;

}  // namespace

AnswerReading::AnswerReading(Kind kind, const Ask& ask, std::size_t limit, EventSink& sink, ReflectorState& state,
                             ReadingObserver& observer, std::size_t object_limit)
    : kind_(kind),
      ask_(ask),
      limit_(limit),
      object_limit_(object_limit),
      sink_(sink),
      state_(state),
      observer_(observer),
      list_([this](std::string_view item) { list_item(item); }, limit),
      initial_(ask.verb == Verb::watch_list) {
  outcome_.listed = ask.listed;
}

bool AnswerReading::end(End end, std::string problem) {
  outcome_.end = end;
  problem_ = std::move(problem);
  return false;
}

void AnswerReading::begin() {
  begun_ = true;
  begun_at_ = std::chrono::steady_clock::now();
  observer_.on_answered(ask_.verb);
  if (initial_ || (ask_.verb == Verb::list && ask_.continue_token.empty())) {
    batch_.emplace_back(ReplaceBegin{kind_});
    flush();
  }
}

bool AnswerReading::receive(std::string_view piece) {
  if (!begun_) begin();
  if (ask_.verb != Verb::list) {
    const bool more = split_frames(piece);
    flush();
    return more;
  }
  if (const auto fed = list_.feed(piece); !fed) return end(End::malformed, fed.error().message());
  return problem_.empty();
}

void AnswerReading::list_item(std::string_view json) {
  if (!problem_.empty() || beyond_limit()) return;
  // What was not even identified could be any object: a list with such an item says nothing about absence.
  auto decoded = decoder_.object(kind_, json);
  const std::string why = decoded ? "" : decoded.error().error.message();
  if (!put(std::move(decoded))) (void)end(End::malformed, "an item of the list has no readable name: " + why);
}

bool AnswerReading::split_frames(std::string_view piece) {
  while (!piece.empty()) {
    const auto newline = piece.find('\n');
    const auto part = piece.substr(0, newline);
    if (line_.size() + part.size() > limit_)
      return end(End::malformed, fmt::format("a frame of the watch is larger than {} bytes", limit_));
    if (newline == std::string_view::npos) {
      line_ += part;
      return true;
    }
    piece.remove_prefix(newline + 1);
    bool more = true;
    if (line_.empty()) {
      more = part.empty() || frame(part);
    } else {
      line_ += part;
      more = frame(line_);
      line_.clear();
    }
    if (!more) return false;
  }
  return true;
}

bool AnswerReading::frame(std::string_view line) {
  auto read = decoder_.watch_frame(kind_, line);
  if (!read) return end(End::malformed, read.error().message());
  if (read->type == WatchFrame::Type::error) {
    outcome_.status = read->status_code;
    return end(End::refused, fmt::format("{} ({})", read->status_message, read->status_code));
  }
  ++outcome_.frames;
  if (read->type == WatchFrame::Type::bookmark) return bookmark(*read);

  if (read->type == WatchFrame::Type::deleted && !read->key.name.empty()) {
    // Our Node keeps its last state, which this event tells: it may be the first that has the taint.
    if (kind_ == Kind::node && read->object && *read->object) add(Upsert{std::move((*read->object)->object)});
    add(Remove{kind_, read->key});
  } else if (read->object) {
    if (beyond_limit()) return false;
    put(std::move(*read->object));
  }
  if (!initial_) state_.seen(read->resource_version);
  return true;
}

bool AnswerReading::bookmark(const WatchFrame& frame) {
  if (!initial_) {
    state_.seen(frame.resource_version);
    return true;
  }
  if (!frame.initial_events_end)
    return end(End::unmarked, "the server does not send initial events; using list and watch");
  initial_ = false;
  batch_.emplace_back(ReplaceEnd{kind_});
  flush();
  state_.seen(frame.resource_version);
  state_.initial_events_end();
  observer_.on_list_complete();
  return true;
}

bool AnswerReading::beyond_limit() {
  if ((ask_.verb != Verb::list && !initial_) || ++outcome_.listed <= object_limit_) return false;
  (void)end(End::malformed, fmt::format("more than {} objects", object_limit_));
  return true;
}

bool AnswerReading::put(DecodedObject decoded) {
  if (decoded) {
    const ObjectKey key = key_of(decoded->object);
    for (const auto& warning : decoded->warnings)
      observer_.on_doubt(fmt::format("{} {}: {}", to_string(kind_), key.to_string(), warning));
    add(Upsert{std::move(decoded->object)});
    return true;
  }
  Rejected& rejected = decoded.error();
  observer_.on_rejected(rejected.error.message());
  if (rejected.key.name.empty()) return false;
  add(Keep{kind_, std::move(rejected.key)});
  return true;
}

void AnswerReading::add(ClusterEvent event) {
  batch_.push_back(std::move(event));
  ++objects_;
  if (batch_.size() >= batch_size) flush();
}

void AnswerReading::flush() {
  if (batch_.empty()) return;
  sink_.push(std::exchange(batch_, {}));
  observer_.on_delivered(std::exchange(objects_, 0));
}

std::string AnswerReading::status_text(const std::string& body, int status) {
  return body.empty() ? fmt::format("HTTP status {}", status) : decoder_.status_text(body);
}

Outcome AnswerReading::finish(const Result<ApiAnswer>& answer) {
  if (begun_)
    outcome_.lasted =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun_at_);
  if (!problem_.empty()) return outcome_;
  if (!answer) {
    // A watch_list stream has one read timeout for both its parts; after the initial events its silence is no
    // fault.
    const bool quiet_watch = ask_.verb == Verb::watch_list && !initial_ && answer.error().code == Errc::timed_out;
    // An exception came between reading and delivering: what was seen is not known to have arrived.
    const bool thrown = begun_ && (answer.error().code == Errc::malformed || answer.error().sys_errno == ENOMEM);
    outcome_.end = quiet_watch ? End::complete : thrown ? End::malformed : End::broken;
    return outcome_;
  }
  outcome_.retry_after = answer->retry_after;
  if (answer->status != 200) {
    outcome_.end = End::refused;
    outcome_.status = answer->status;
    return outcome_;
  }
  if (ask_.verb != Verb::list) {
    // All there was is a line without an end, as the page of a proxy in between: what it is wants to be told.
    if (outcome_.frames == 0 && !line_.empty()) (void)frame(line_);
    flush();
    return outcome_;
  }

  const auto meta = list_.finish();
  if (!meta) {
    (void)end(End::malformed, meta.error().message());
    return outcome_;
  }
  outcome_.continue_token = meta->continue_token;
  outcome_.resource_version = meta->resource_version;
  if (meta->continue_token.empty()) batch_.emplace_back(ReplaceEnd{kind_});
  flush();
  if (meta->continue_token.empty()) observer_.on_list_complete();
  return outcome_;
}

}  // namespace ipvsd
