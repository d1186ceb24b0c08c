import { claimGuest, createGuest, getMe, HttpError } from './http';
import type { User } from './protocol';

const KEY = 'kanvas.identity';

interface Stored {
  token: string;
  user: User;
  /** Unix ms. */
  expires: number;
  /** Unix ms at which half of the token's life is over; from then on the server hands out a fresh one. */
  renewAt: number;
}

function load(): Stored | undefined {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Stored | null;
    if (stored && typeof stored.token === 'string' && stored.user?.id) return stored;
  } catch {
    // Not ours or damaged: as if there were none.
  }
  return undefined;
}

function store(token: string, user: User, expiresAt: string): Stored {
  const now = Date.now();
  const expires = new Date(expiresAt).getTime();
  const stored = { token, user, expires, renewAt: now + (expires - now) / 2 };
  localStorage.setItem(KEY, JSON.stringify(stored));
  return stored;
}

const isGuest = (user: User) => user.id.startsWith('guest_');

/** Who this browser is: a guest, or somebody who has signed in. The token is kept in localStorage and shared by all tabs. */
export class Identity {
  private constructor(private stored: Stored) {}

  static current(): Identity | undefined {
    const stored = load();
    return stored && stored.expires > Date.now() ? new Identity(stored) : undefined;
  }

  static async create(name: string): Promise<Identity> {
    const guest = await createGuest(name);
    return new Identity(store(guest.token, guest.user, guest.expires_at));
  }

  /**
   * Becomes whoever the token speaks for. What this browser's guest made is theirs from then on. Throws where the server refuses the
   * token; a guest that is somebody else's already stays that.
   */
  static async signIn(token: string): Promise<Identity> {
    const me = await getMe(token);
    if (!me.user || !me.expires_at) throw new HttpError(0, 'internal', 'The server does not say who this token is for.');
    const before = load();
    const identity = new Identity(store(token, me.user, me.expires_at));
    if (before && isGuest(before.user) && !isGuest(me.user)) {
      try {
        await claimGuest(token, before.token);
      } catch (error) {
        if (!(error instanceof HttpError)) throw error;
      }
    }
    return identity;
  }

  /** Forgets who this browser is; the next visit asks for a name. */
  static signOut(): void {
    localStorage.removeItem(KEY);
  }

  get signedIn(): boolean {
    return !isGuest(this.user);
  }

  get user(): User {
    return this.stored.user;
  }

  get token(): string {
    const newer = load();
    if (newer && newer.user.id === this.stored.user.id) this.stored = newer;
    return this.stored.token;
  }

  /** Takes a fresh token past half of the old one's life. A failure is no harm yet: the old one lives as long again. */
  async renew(): Promise<void> {
    if (Date.now() < this.stored.renewAt) return;
    try {
      const me = await getMe(this.token);
      if (me.token && me.expires_at) this.stored = store(me.token, me.user ?? this.user, me.expires_at);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
    }
  }

  /**
   * After the server refused the token: asks once more who we are, and becomes a new guest of the same name where the token is
   * really worth nothing. Returns false where the server can't be asked now.
   */
  async replace(): Promise<boolean> {
    try {
      await getMe(this.token);
      return true;
    } catch (error) {
      if (!(error instanceof HttpError) || error.status !== 401) return false;
    }
    if (this.signedIn) return false; // nobody becomes a guest without a word
    try {
      const guest = await createGuest(this.user.name);
      this.stored = store(guest.token, guest.user, guest.expires_at);
      return true;
    } catch {
      return false;
    }
  }
}
