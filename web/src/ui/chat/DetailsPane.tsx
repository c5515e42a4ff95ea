/** Details of a person, a group or a message, beside the chat. */
import type { DetailsPaneProps } from "./types.ts";

export function DetailsPane(props: DetailsPaneProps) {
  return <aside class="details" data-kind={props.target.kind} />;
}
