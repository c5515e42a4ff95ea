/** The chat: header, timeline and composer of one conversation. */
import type { ChatPaneProps } from "./types.ts";

export function ChatPane(props: ChatPaneProps) {
  return <section class="chat" data-conversation={props.conversationId} />;
}
