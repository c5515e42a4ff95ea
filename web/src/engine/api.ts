/**
 * The treaty between the screens and the engine, which runs in a worker (of this tab, or of the tab that leads).
 *
 * Everything here can be cloned (`structuredClone`). The engine tells *views*: complete, ready to show, replaced as a
 * whole by the next one. Screens compute nothing about delivery: no tick, count, order or heal is decided there.
 * Methods that fail reject with an `EngineError`, whose `code` is one of PROTOCOL.md §10 or of `LocalErrorCode`.
 */

export type ConversationId = string;
export type UserId = string;
export type DeviceId = string;
/** `{senderId}/{senderDeviceId}/{clientMessageId}`: the same before and after a message has its number. */
export type MessageId = string;

export type LocalErrorCode =
  | "offline"
  | "not_linked"
  | "key_changed"
  | "not_encrypted"
  | "wrong_password"
  | "bad_code"
  | "bad_file"
  | "storage_full"
  | "signed_out"
  | "timeout";

export interface EngineFailure {
  readonly code: string;
  /** For people, in English; screens translate by `code` and fall back to this. */
  readonly message: string;
  readonly retryAfterMs?: number;
}

/** `starting`: the store is being opened. `unsupported`: `reason` says what this browser or address lacks. */
export interface SessionView {
  readonly state: "starting" | "signed_out" | "signed_in" | "unsupported";
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  readonly serverUrl: string;
  /** Why the session ended by itself: `revoked`, `logged_out`, `replaced`; or empty. */
  readonly reason: string;
  /** Whether this tab's worker holds the store, or another tab's does. */
  readonly leads: boolean;
}

export interface ConnectionView {
  readonly state: "connecting" | "catching_up" | "online" | "waiting" | "offline" | "stopped";
  readonly transport: "websocket" | "longpoll" | "";
  /** When the next try is due: ms since the epoch, 0 for none. */
  readonly retryAt: number;
  /** Messages that wait in the outbox. */
  readonly queued: number;
  /** `replaced` (another instance of this device runs), `unauthorized`, or empty. */
  readonly reason: string;
}

/** `unlinked`: the account has devices and this is none of them: link it, or begin anew. */
export interface EncryptionView {
  readonly standing: "preparing" | "linked" | "unlinked";
  /** Something that a person should know: `list_refused`, `keys_refused`, `link_failed`, `wrong_password`; or empty. */
  readonly problem: string;
}

export interface UserView {
  readonly userId: UserId;
  /** Never empty: the userId when there is no name. */
  readonly name: string;
  readonly about: string;
  /** The mediaKey of the picture; empty without one. */
  readonly picture: string;
  readonly bot: boolean;
  readonly deleted: boolean;
  readonly contact: boolean;
  readonly blocked: boolean;
  readonly verified: boolean;
  /** Has another account key than was known, not accepted yet. */
  readonly keyChanged: boolean;
}

export interface PresenceView {
  readonly userId: UserId;
  readonly online: boolean;
  /** ms since the epoch; 0: not told. */
  readonly lastSeen: number;
}

export type Role = "owner" | "admin" | "member";
export type Tick = "queued" | "sent" | "delivered" | "read" | "failed";

export interface TypingView {
  readonly userId: UserId;
  readonly kind: "text" | "recording";
}

export interface LastView {
  readonly id: MessageId;
  readonly senderId: UserId;
  readonly own: boolean;
  readonly kind: MessageView["kind"];
  /** One line, for the list: text, caption, or empty (then `kind` and `media` say what it is). */
  readonly text: string;
  readonly media: MediaView["as"] | "";
  readonly system: SystemView | null;
  readonly timestamp: number;
  readonly tick: Tick | "";
}

export interface ConversationView {
  readonly id: ConversationId;
  readonly kind: "direct" | "self" | "group";
  /** The group's name; of a direct chat the other's name. */
  readonly title: string;
  /** Of a direct chat: with whom. */
  readonly peer: UserId;
  readonly picture: string;
  readonly last: LastView | null;
  /** Derived, at most 999; 999 stands for "more". */
  readonly unread: number;
  /** Whether an unread message mentions this user. */
  readonly mentioned: boolean;
  /** The number behind which everything is unread; the divider stands there. */
  readonly readThrough: number;
  readonly lastActivity: number;
  /** ms since the epoch; 0 not muted, -1 for ever. */
  readonly mutedUntil: number;
  readonly pinned: boolean;
  readonly archived: boolean;
  readonly left: boolean;
  readonly draft: string;
  readonly typing: readonly TypingView[];
  readonly memberCount: number;
  readonly role: Role | "";
  /** How this user writes here. */
  readonly mode: "encrypted" | "plain";
  /** Others said that the conversation is plain, and this user did not yet agree. */
  readonly toldPlain: boolean;
  /** New messages disappear so many ms after reading; 0: never. */
  readonly timer: number;
  /** Devices made ready, while the first message to many is prepared. */
  readonly setup: { readonly done: number; readonly total: number } | null;
}

export interface MediaView {
  readonly as: "image" | "video" | "audio" | "document";
  readonly mediaKey: string;
  readonly mimeType: string;
  readonly size: number;
  readonly filename: string;
  readonly width: number;
  readonly height: number;
  readonly durationMs: number;
  readonly blurhash: string;
  /** Loudness, 0 to 255. */
  readonly waveform: readonly number[];
  /** A small JPEG as base64url of an encrypted file; empty without one. */
  readonly preview: string;
  readonly encrypted: boolean;
  /** While it is sent: bytes that are there; -1 when it is not under way. */
  readonly uploaded: number;
}

/** A system message: PROTOCOL.md §8 for the events of the server; `key_changed`, `timer` come from this device. */
export interface SystemView {
  readonly event: string;
  readonly actorId: UserId;
  readonly userIds: readonly UserId[];
  readonly name: string;
  readonly role: Role | "";
  readonly byLink: boolean;
  readonly encryption: "plain" | "encrypted" | "";
  readonly timer: number;
}

export interface QuoteView {
  /** Null while the answered message is not held. */
  readonly id: MessageId | null;
  readonly senderId: UserId;
  readonly text: string;
  readonly media: MediaView["as"] | "";
  readonly number: number;
}

export interface MessageView {
  readonly id: MessageId;
  readonly conversationId: ConversationId;
  /** 0 while it has none: then it stands behind all numbered ones, by `order`. */
  readonly number: number;
  readonly order: number;
  readonly senderId: UserId;
  readonly own: boolean;
  readonly timestamp: number;
  /** `waiting`: encrypted, not readable yet. `lost`: asked for in vain. `unsupported`: of a newer program. */
  readonly kind: "text" | "media" | "system" | "deleted" | "waiting" | "lost" | "refused" | "unsupported";
  /** Text or caption. */
  readonly text: string;
  readonly media: MediaView | null;
  readonly system: SystemView | null;
  readonly reply: QuoteView | null;
  readonly mentions: readonly UserId[];
  readonly reactions: readonly { readonly emoji: string; readonly userIds: readonly UserId[] }[];
  readonly edited: boolean;
  readonly starred: boolean;
  readonly forwarded: boolean;
  readonly encrypted: boolean;
  /** Of own messages. */
  readonly tick: Tick | "";
  /** Why it failed; null when it did not. */
  readonly failure: EngineFailure | null;
  /** When it disappears: ms since the epoch, 0: not set. */
  readonly expiresAt: number;
  readonly expiresIn: number;
}

/** Ascending. `start`: nothing older exists for this device; `end`: nothing newer exists. */
export interface MessagePage {
  readonly messages: readonly MessageView[];
  readonly start: boolean;
  readonly end: boolean;
}

export interface MemberView {
  readonly userId: UserId;
  readonly role: Role;
}

export interface GroupView {
  readonly conversationId: ConversationId;
  readonly name: string;
  readonly picture: string;
  readonly ownerId: UserId;
  readonly members: readonly MemberView[];
  readonly createdAt: number;
  /** Who could not be added: only their contacts may; send them the invitation. */
  readonly notAdded: readonly UserId[];
}

export interface ReceiptView {
  readonly userId: UserId;
  readonly delivered: boolean;
  readonly read: boolean;
}

export interface PrivacyView {
  readonly lastSeen: "everyone" | "contacts" | "nobody";
  readonly readReceipts: boolean;
  readonly searchable: boolean;
  readonly groupAdds: "everyone" | "contacts";
  readonly encryptedPreviews: boolean;
}

export interface NotificationsView {
  readonly preview: boolean;
  readonly mentions: boolean;
  readonly quietHours: { readonly start: string; readonly end: string; readonly offsetMin: number } | null;
}

export interface MeView {
  readonly userId: UserId;
  readonly name: string;
  readonly about: string;
  readonly picture: string;
  readonly privacy: PrivacyView;
  readonly notifications: NotificationsView;
  readonly admin: boolean;
}

export interface DeviceView {
  readonly deviceId: DeviceId;
  readonly name: string;
  readonly type: string;
  readonly createdAt: number;
  readonly lastSeen: number;
  readonly loggedIn: boolean;
  readonly current: boolean;
  readonly linked: boolean;
}

export interface SafetyNumberView {
  /** Twelve groups of five digits. */
  readonly groups: readonly string[];
  /** What the QR code holds. */
  readonly qr: string;
  readonly verified: boolean;
}

export interface LinkCodeView {
  readonly text: string;
  readonly qr: string;
  /** ms since the epoch. */
  readonly goodUntil: number;
}

/** What changed; sent to every tab. A list is complete and in order. */
export type Update =
  | { readonly type: "session"; readonly session: SessionView }
  | { readonly type: "connection"; readonly connection: ConnectionView }
  | { readonly type: "encryption"; readonly encryption: EncryptionView }
  | { readonly type: "me"; readonly me: MeView }
  /** Only those that changed. */
  | { readonly type: "conversations"; readonly conversations: readonly ConversationView[] }
  | { readonly type: "conversation_gone"; readonly conversationId: ConversationId }
  /** New messages and changed ones of conversations that a tab has open; by `id`. */
  | { readonly type: "messages"; readonly messages: readonly MessageView[] }
  /** Gone from this device: disappeared, or deleted for me. */
  | {
      readonly type: "messages_gone";
      readonly conversationId: ConversationId;
      readonly ids: readonly MessageId[];
    }
  | { readonly type: "users"; readonly users: readonly UserView[] }
  | { readonly type: "presence"; readonly presence: readonly PresenceView[] }
  | { readonly type: "group"; readonly group: GroupView }
  /** Contacts, blocks or devices changed elsewhere: ask again if they are on the screen. */
  | { readonly type: "stale"; readonly what: "contacts" | "blocks" | "devices" }
  /** A new message that a person is to be told of now (not muted, not open). */
  | {
      readonly type: "alert";
      readonly conversationId: ConversationId;
      readonly id: MessageId;
      readonly title: string;
      readonly text: string;
    }
  | {
      readonly type: "progress";
      readonly what: "archive" | "backup" | "restore" | "upload";
      readonly id: string;
      readonly done: number;
      readonly total: number;
    };

/** What a tab gets when it starts. */
export interface Snapshot {
  readonly session: SessionView;
  readonly connection: ConnectionView;
  readonly encryption: EncryptionView;
  readonly me: MeView | null;
  readonly conversations: readonly ConversationView[];
  readonly users: readonly UserView[];
}

export interface Outgoing {
  readonly text: string;
  readonly replyTo?: MessageId;
  readonly mentions?: readonly UserId[];
}

export interface OutgoingFile {
  readonly file: Blob;
  readonly as: MediaView["as"];
  readonly filename: string;
  readonly caption?: string;
  readonly replyTo?: MessageId;
  readonly width?: number;
  readonly height?: number;
  readonly durationMs?: number;
  readonly waveform?: readonly number[];
  readonly blurhash?: string;
  /** A JPEG of at most 8 KiB. */
  readonly preview?: Blob;
}

export type Where =
  | { readonly before: number }
  | { readonly after: number }
  /** Around a number: the first unread, a quoted or a found message. */
  | { readonly around: number }
  | "newest";

export interface Engine {
  snapshot(): Promise<Snapshot>;

  // accounts
  register(userId: UserId, password: string, name: string, invite: string): Promise<void>;
  logIn(userId: UserId, password: string): Promise<void>;
  recover(userId: UserId, code: string, newPassword: string): Promise<void>;
  /** Ends the session; `wipe` removes all that is stored here. */
  logOut(wipe: boolean): Promise<void>;
  updateMe(changes: {
    name?: string;
    about?: string;
    privacy?: Partial<PrivacyView>;
    notifications?: Partial<NotificationsView>;
  }): Promise<void>;
  /** Null removes it. A picture that is scaled down already, at most 1 MiB. */
  setPicture(picture: Blob | null): Promise<void>;
  changePassword(current: string, next: string): Promise<void>;
  recoveryCodes(): Promise<readonly string[]>;
  deleteAccount(): Promise<void>;

  // people
  users(ids: readonly UserId[]): Promise<readonly UserView[]>;
  searchUsers(query: string): Promise<readonly UserView[]>;
  contacts(): Promise<readonly UserView[]>;
  setContact(userId: UserId, on: boolean): Promise<void>;
  blocks(): Promise<readonly UserView[]>;
  setBlocked(userId: UserId, on: boolean): Promise<void>;
  /** Whose presence is on the screen; replaces the former ones. */
  watchPresence(ids: readonly UserId[]): Promise<void>;

  // conversations
  /** A direct chat, which may be new. */
  direct(userId: UserId): Promise<ConversationView>;
  setFlags(
    id: ConversationId,
    flags: { mutedUntil?: number; pinned?: boolean; archived?: boolean },
  ): Promise<void>;
  setDraft(id: ConversationId, text: string): Promise<void>;
  setMode(id: ConversationId, mode: "encrypted" | "plain"): Promise<void>;
  setTimer(id: ConversationId, ms: number): Promise<void>;
  /** From now on `messages` of it are told to this tab, until `close`. */
  open(id: ConversationId): Promise<void>;
  close(id: ConversationId): Promise<void>;
  /** Messages that are shown: hidden ones (reactions, edits) are folded in. Fetches what is not held. */
  page(id: ConversationId, where: Where, limit: number): Promise<MessagePage>;
  markRead(id: ConversationId, number: number): Promise<void>;
  typing(id: ConversationId, kind: "text" | "recording" | "stopped"): Promise<void>;

  // messages
  /** Answers when the message is stored in the outbox; it goes out when it can. */
  sendText(id: ConversationId, message: Outgoing): Promise<MessageView>;
  sendFile(id: ConversationId, file: OutgoingFile): Promise<MessageView>;
  retry(id: MessageId): Promise<void>;
  /** Takes a message out of the outbox. */
  discard(id: MessageId): Promise<void>;
  /** An empty emoji takes it back. */
  react(id: MessageId, emoji: string): Promise<void>;
  edit(id: MessageId, text: string): Promise<void>;
  deleteForEveryone(id: MessageId): Promise<void>;
  deleteForMe(ids: readonly MessageId[]): Promise<void>;
  star(id: MessageId, on: boolean): Promise<void>;
  starred(): Promise<readonly MessageView[]>;
  forward(ids: readonly MessageId[], to: readonly ConversationId[]): Promise<void>;
  receipts(id: MessageId): Promise<readonly ReceiptView[]>;
  search(text: string, id: ConversationId | null, limit: number): Promise<readonly MessageView[]>;
  /** The file, decrypted and checked. `progress` updates have the message's id. */
  file(id: MessageId): Promise<Blob>;
  /** A thumbnail; null without one. */
  thumbnail(id: MessageId): Promise<Blob | null>;
  /** A profile or group picture. */
  picture(mediaKey: string): Promise<Blob | null>;

  // groups
  createGroup(name: string, memberIds: readonly UserId[]): Promise<GroupView>;
  group(id: ConversationId): Promise<GroupView>;
  renameGroup(id: ConversationId, name: string): Promise<void>;
  setGroupPicture(id: ConversationId, picture: Blob | null): Promise<void>;
  addMembers(id: ConversationId, ids: readonly UserId[]): Promise<GroupView>;
  removeMember(id: ConversationId, userId: UserId): Promise<void>;
  setRole(id: ConversationId, userId: UserId, role: Role): Promise<void>;
  leaveGroup(id: ConversationId): Promise<void>;
  deleteGroup(id: ConversationId): Promise<void>;
  /** The token of the new invitation; a link holds it behind `#join/`. */
  createInvite(id: ConversationId, expiresAt: number, maxUses: number): Promise<string>;
  endInvites(id: ConversationId): Promise<void>;
  join(token: string): Promise<ConversationId>;

  // encryption and devices
  devices(): Promise<readonly DeviceView[]>;
  revokeDevice(deviceId: DeviceId): Promise<void>;
  /** On a new device: show this. */
  linkCode(): Promise<LinkCodeView>;
  /** On an old device: take in what the new one shows, as text or as scanned. */
  link(code: string): Promise<void>;
  /** When no other device is left. */
  startAnew(password: string): Promise<void>;
  safetyNumber(userId: UserId): Promise<SafetyNumberView>;
  /** Whether a scanned code of the other side fits. */
  checkSafetyNumber(userId: UserId, scanned: string): Promise<boolean>;
  setVerified(userId: UserId, on: boolean): Promise<void>;
  acceptKey(userId: UserId): Promise<void>;
  backup(passphrase: string): Promise<Blob>;
  /** Into the account that is logged in: keys of old messages and what is known of people. */
  restore(backup: Blob, passphrase: string): Promise<{ messages: number }>;

  // push
  vapidKey(): Promise<string>;
  setPush(subscription: PushSubscriptionJSON | null): Promise<void>;
}

/** How a screen holds the engine: calls, and updates in the order in which they happened. */
export interface EngineLink extends Engine {
  subscribe(listen: (update: Update) => void): () => void;
}

export class EngineError extends Error {
  readonly code: string;
  readonly retryAfterMs: number;

  constructor(failure: EngineFailure) {
    super(failure.message);
    this.name = "EngineError";
    this.code = failure.code;
    this.retryAfterMs = failure.retryAfterMs ?? 0;
  }
}
