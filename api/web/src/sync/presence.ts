import type { Online, Participant, Role, ServerMessage, User } from '../protocol';
import { Signal } from '../util/emitter';

export interface Person extends User {
  role?: Role | undefined;
  /** Sockets of this person that are open. */
  sessions: string[];
}

/** Who is in the room, by socket and by person. */
export class Presence {
  readonly changed = new Signal();
  readonly left = new Signal<[string]>();
  private online = new Map<string, Online>();
  private roles = new Map<string, Role>();

  apply(message: Extract<ServerMessage, { type: 'presence' }>): void {
    if (message.online) {
      for (const session of this.online.keys()) {
        if (!message.online.some((o) => o.session === session)) this.left.emit(session);
      }
      this.online = new Map(message.online.map((o) => [o.session, o]));
    }
    for (const joined of message.joined ?? []) this.online.set(joined.session, joined);
    for (const gone of message.left ?? []) {
      const session = typeof gone === 'string' ? gone : gone.session;
      this.online.delete(session);
      this.left.emit(session);
    }
    this.changed.emit();
  }

  participants(list: Participant[]): void {
    for (const p of list) {
      const id = p.user_id ?? p.id;
      if (id !== undefined) this.roles.set(id, p.role);
    }
    this.changed.emit();
  }

  setRole(user: string, role: Role | undefined): void {
    if (role) this.roles.set(user, role);
    else this.roles.delete(user);
    this.changed.emit();
  }

  /** The socket is gone: nobody can be seen any more. */
  clear(): void {
    for (const session of this.online.keys()) this.left.emit(session);
    this.online.clear();
    this.changed.emit();
  }

  userOf(session: string): User | undefined {
    return this.online.get(session)?.user;
  }

  people(): Person[] {
    const people = new Map<string, Person>();
    for (const { session, user, role } of this.online.values()) {
      const person = people.get(user.id);
      if (person) person.sessions.push(session);
      else people.set(user.id, { ...user, role: this.roles.get(user.id) ?? role, sessions: [session] });
    }
    return [...people.values()];
  }
}
