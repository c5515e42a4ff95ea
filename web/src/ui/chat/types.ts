/** What the frame and the chat tell each other: what the details pane shows, and where to go. */
import type { ConversationId, MessageView, UserId } from "../../engine/api.ts";

/** What the details pane is about. */
export type DetailsTarget =
  | { readonly kind: "conversation"; readonly conversationId: ConversationId }
  | { readonly kind: "message"; readonly message: MessageView };

export interface ChatPaneProps {
  readonly conversationId: ConversationId;
  /** The number of a message to show first: one that a search found. 0 or absent: the first unread. */
  readonly focusNumber?: number;
  /** Back to the list; only where one pane is shown. */
  readonly onBack?: () => void;
  readonly onDetails: (target: DetailsTarget) => void;
  /** Opens another chat, perhaps at a message. */
  readonly onOpen: (conversationId: ConversationId, number?: number) => void;
  /** Shows the safety number screen. */
  readonly onVerify: (userId: UserId) => void;
}

export interface DetailsPaneProps {
  readonly target: DetailsTarget;
  readonly onClose: () => void;
  readonly onOpen: (conversationId: ConversationId, number?: number) => void;
  readonly onVerify: (userId: UserId) => void;
}
