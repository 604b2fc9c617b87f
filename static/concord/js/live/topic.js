// One subscription: holds the place in the topic and refuses a delta that does not continue it. Pure.
export class Topic {
  constructor(name, { filter, onSnap, onDelta, onError = () => {} }) {
    Object.assign(this, { name, filter, onSnap, onDelta, onError });
    this.seq = null;
    this.n = null;
  }

  get request() {
    return { t: "sub", topic: this.name, ...(this.filter === undefined ? {} : { filter: this.filter }) };
  }

  // A new connection, or a resync: only a snapshot can go on from here.
  lose() {
    this.seq = this.n = null;
  }

  // True if the frame was taken; false if the topic must be asked for again.
  take(frame) {
    if (frame.t === "snap") {
      this.seq = frame.seq;
      this.n = frame.n;
      this.onSnap(frame);
      return true;
    }
    if (this.seq === null) return true;
    if (frame.from !== this.seq || frame.n !== this.n + 1) {
      this.lose();
      return false;
    }
    this.seq = frame.seq;
    this.n = frame.n;
    this.onDelta(frame);
    return true;
  }
}
