// An independent implementation behind one line of JSON per question, for the tests of this folder.
//
// Standard input:  {"do": <name>, ...}      one line a question
// Standard output: {...} or {"error": name} one line an answer, in the same order
// Bytes are hexadecimal. Names of people are UUIDs, devices are numbers from 1 to 127.
// Written from the package's published typings alone.

import { createInterface } from 'node:readline';
import * as signal from '@signalapp/libsignal-client';

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const bytes = (text) => new Uint8Array(Buffer.from(text, 'hex'));
const address = ({ name, device }) => signal.ProtocolAddress.new(name, device);

class Sessions extends signal.SessionStore {
  kept = new Map();
  async saveSession(name, record) {
    this.kept.set(name.toString(), record.serialize());
  }
  async getSession(name) {
    const found = this.kept.get(name.toString());
    return found === undefined ? null : signal.SessionRecord.deserialize(found);
  }
  async getExistingSessions(names) {
    return Promise.all(names.map((name) => this.getSession(name)));
  }
}

class Identities extends signal.IdentityKeyStore {
  known = new Map();
  constructor(pair, registrationId) {
    super();
    this.pair = pair;
    this.registrationId = registrationId;
  }
  async getIdentityKey() {
    return this.pair.privateKey;
  }
  async getLocalRegistrationId() {
    return this.registrationId;
  }
  async saveIdentity(name, key) {
    const former = this.known.get(name.toString());
    this.known.set(name.toString(), key);
    return former === undefined || former.equals(key)
      ? signal.IdentityChange.NewOrUnchanged
      : signal.IdentityChange.ReplacedExisting;
  }
  async isTrustedIdentity(name, key) {
    const known = this.known.get(name.toString());
    return known === undefined || known.equals(key);
  }
  async getIdentity(name) {
    return this.known.get(name.toString()) ?? null;
  }
}

const found = (map, id) => {
  if (!map.has(id)) throw new Error(`no key ${id}`);
  return map.get(id);
};

class PreKeys extends signal.PreKeyStore {
  kept = new Map();
  async savePreKey(id, record) {
    this.kept.set(id, record);
  }
  async getPreKey(id) {
    return found(this.kept, id);
  }
  async removePreKey(id) {
    this.kept.delete(id);
  }
}

class SignedPreKeys extends signal.SignedPreKeyStore {
  kept = new Map();
  async saveSignedPreKey(id, record) {
    this.kept.set(id, record);
  }
  async getSignedPreKey(id) {
    return found(this.kept, id);
  }
}

class KemPreKeys extends signal.KyberPreKeyStore {
  kept = new Map();
  lastResort = new Set();
  seen = new Set();
  async saveKyberPreKey(id, record) {
    this.kept.set(id, record);
  }
  async getKyberPreKey(id) {
    return found(this.kept, id);
  }
  async markKyberPreKeyUsed(id, signedPreKeyId, baseKey) {
    if (!this.lastResort.has(id)) {
      this.kept.delete(id);
      return;
    }
    const use = `${id} ${signedPreKeyId} ${hex(baseKey.serialize())}`;
    if (this.seen.has(use)) throw new Error('a last-resort key was used twice by one first message');
    this.seen.add(use);
  }
}

class SenderKeys extends signal.SenderKeyStore {
  kept = new Map();
  async saveSenderKey(sender, distributionId, record) {
    this.kept.set(`${sender.toString()} ${distributionId}`, record.serialize());
  }
  async getSenderKey(sender, distributionId) {
    const kept = this.kept.get(`${sender.toString()} ${distributionId}`);
    return kept === undefined ? null : signal.SenderKeyRecord.deserialize(kept);
  }
}

class Person {
  sessions = new Sessions();
  preKeys = new PreKeys();
  signedPreKeys = new SignedPreKeys();
  kemPreKeys = new KemPreKeys();
  senderKeys = new SenderKeys();
  constructor(at, registrationId) {
    this.address = at;
    this.pair = signal.IdentityKeyPair.generate();
    this.identities = new Identities(this.pair, registrationId);
  }
}

const people = new Map();
const person = ({ who }) => found(people, who);

const questions = {
  person({ who, at, registrationId }) {
    const made = new Person(address(at), registrationId);
    people.set(who, made);
    return { identityKey: hex(made.pair.publicKey.serialize()) };
  },

  async preKey({ who, id }) {
    const key = signal.PrivateKey.generate();
    await person({ who }).preKeys.savePreKey(id, signal.PreKeyRecord.new(id, key.getPublicKey(), key));
    return { id, key: hex(key.getPublicKey().serialize()) };
  },

  async signedPreKey({ who, id }) {
    const owner = person({ who });
    const key = signal.PrivateKey.generate();
    const encoded = key.getPublicKey().serialize();
    const signature = owner.pair.privateKey.sign(encoded);
    const record = signal.SignedPreKeyRecord.new(id, 0, key.getPublicKey(), key, signature);
    await owner.signedPreKeys.saveSignedPreKey(id, record);
    return { id, key: hex(encoded), signature: hex(signature) };
  },

  async kemPreKey({ who, id, lastResort }) {
    const owner = person({ who });
    const pair = signal.KEMKeyPair.generate();
    const encoded = pair.getPublicKey().serialize();
    const signature = owner.pair.privateKey.sign(encoded);
    await owner.kemPreKeys.saveKyberPreKey(id, signal.KyberPreKeyRecord.new(id, 0, pair, signature));
    if (lastResort) owner.kemPreKeys.lastResort.add(id);
    return { id, key: hex(encoded), signature: hex(signature) };
  },

  keysLeft({ who }) {
    const { preKeys, kemPreKeys } = person({ who });
    return { preKeys: [...preKeys.kept.keys()], kemPreKeys: [...kemPreKeys.kept.keys()] };
  },

  async start({ who, peer, bundle }) {
    const owner = person({ who });
    const { preKey, signedPreKey, kemPreKey } = bundle;
    const made = signal.PreKeyBundle.new(
      bundle.registrationId,
      peer.device,
      preKey?.id ?? null,
      preKey ? signal.PublicKey.deserialize(bytes(preKey.key)) : null,
      signedPreKey.id,
      signal.PublicKey.deserialize(bytes(signedPreKey.key)),
      bytes(signedPreKey.signature),
      signal.PublicKey.deserialize(bytes(bundle.identityKey)),
      kemPreKey.id,
      signal.KEMPublicKey.deserialize(bytes(kemPreKey.key)),
      bytes(kemPreKey.signature),
    );
    await signal.processPreKeyBundle(made, address(peer), owner.address, owner.sessions, owner.identities);
    return {};
  },

  async encrypt({ who, peer, plaintext }) {
    const owner = person({ who });
    const message = await signal.signalEncrypt(
      bytes(plaintext),
      address(peer),
      owner.address,
      owner.sessions,
      owner.identities,
    );
    return { first: message.type() === signal.CiphertextMessageType.PreKey, message: hex(message.serialize()) };
  },

  async decrypt({ who, peer, first, message }) {
    const { address: own, sessions, identities, preKeys, signedPreKeys, kemPreKeys } = person({ who });
    const plaintext = first
      ? await signal.signalDecryptPreKey(
          signal.PreKeySignalMessage.deserialize(bytes(message)),
          address(peer),
          own,
          sessions,
          identities,
          preKeys,
          signedPreKeys,
          kemPreKeys,
        )
      : await signal.signalDecrypt(
          signal.SignalMessage.deserialize(bytes(message)),
          address(peer),
          own,
          sessions,
          identities,
        );
    return { plaintext: hex(plaintext) };
  },

  session({ who, peer }) {
    return { state: hex(found(person({ who }).sessions.kept, address(peer).toString())) };
  },

  async distribute({ who, distributionId }) {
    const { address: own, senderKeys } = person({ who });
    const made = await signal.SenderKeyDistributionMessage.create(own, distributionId, senderKeys);
    return { distribution: hex(made.serialize()) };
  },

  async accept({ who, peer, distribution }) {
    const message = signal.SenderKeyDistributionMessage.deserialize(bytes(distribution));
    await signal.processSenderKeyDistributionMessage(address(peer), message, person({ who }).senderKeys);
    return { distributionId: message.distributionId(), chainId: message.chainId(), iteration: message.iteration() };
  },

  async groupEncrypt({ who, distributionId, plaintext }) {
    const { address: own, senderKeys } = person({ who });
    const message = await signal.groupEncrypt(own, distributionId, senderKeys, bytes(plaintext));
    return { message: hex(message.serialize()) };
  },

  async groupDecrypt({ who, peer, message }) {
    return { plaintext: hex(await signal.groupDecrypt(address(peer), person({ who }).senderKeys, bytes(message))) };
  },

  fingerprint({ iterations, version, local, remote }) {
    const made = signal.Fingerprint.new(
      iterations,
      version,
      bytes(local.id),
      signal.PublicKey.deserialize(bytes(local.key)),
      bytes(remote.id),
      signal.PublicKey.deserialize(bytes(remote.key)),
    );
    return { digits: made.displayableFingerprint().toString(), qr: hex(made.scannableFingerprint().toBuffer()) };
  },

  sign({ key, message }) {
    return { signature: hex(signal.PrivateKey.deserialize(bytes(key)).sign(bytes(message))) };
  },

  verify({ key, message, signature }) {
    return { holds: signal.PublicKey.deserialize(bytes(key)).verify(bytes(message), bytes(signature)) };
  },

  agree({ key, peer }) {
    const shared = signal.PrivateKey.deserialize(bytes(key)).agree(signal.PublicKey.deserialize(bytes(peer)));
    return { shared: hex(shared) };
  },
};

const lines = createInterface({ input: process.stdin });
for await (const line of lines) {
  let answer;
  try {
    const question = JSON.parse(line);
    answer = await found(new Map(Object.entries(questions)), question.do)(question);
  } catch (error) {
    answer = { error: error.constructor.name, code: error.code ?? null, text: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
