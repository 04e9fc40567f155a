/**
 * The messages slice: what went wrong or is worth knowing, newest first, until dismissed.
 * A message is `{ id, tone, title, detail, advice, count }`; tone is `error` or `note`.
 * The same failure twice in a row is counted, not stacked. Pure; wording comes from advice.js.
 */

/** More than this many would bury the page; the oldest go. */
const MESSAGES_MAX = 5;

export const initialMessages = Object.freeze({ list: Object.freeze([]), nextId: 1 });

/** State after one event. */
export function reduceMessages(messages, event) {
  switch (event.type) {
    case "messageRaised":
      return raise(messages, event.message);
    case "messageDismissed":
      return { ...messages, list: messages.list.filter((m) => m.id !== event.id) };
    default:
      return messages;
  }
}

function raise(messages, message) {
  const [last, ...older] = messages.list;
  const isSame = last && ["title", "detail"].every((field) => last[field] === message[field]);
  const entry = { ...message, id: messages.nextId, count: isSame ? last.count + 1 : 1 };
  const list = [entry, ...(isSame ? older : messages.list)].slice(0, MESSAGES_MAX);
  return { list, nextId: messages.nextId + 1 };
}
