/** Metrics for Prometheus, with a bound on how many series a label can open (threat F6). */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Series of one metric; what comes after is counted under `other`. */
const SERIES_MAX = 2000;

type About<L extends string> = { readonly name: string; readonly help: string; readonly labels: readonly L[] };

export type CounterSeries = { inc(by?: number): void };
export type GaugeSeries = { set(value: number): void; inc(by?: number): void; dec(by?: number): void };
export type HistogramSeries = { observe(value: number): void };

/** The series of one metric by the values of its labels, bounded. Ask once and keep the series where speed matters. */
export class Family<S> {
  readonly #open: (values: readonly string[]) => S;
  readonly #seriesMax: number;
  readonly #labelCount: number;
  readonly #series = new Map<string, S>();
  #other: S | null = null;

  constructor(open: (values: readonly string[]) => S, labelCount: number, seriesMax: number) {
    this.#open = open;
    this.#labelCount = labelCount;
    this.#seriesMax = seriesMax;
  }

  /** The series of these values, in the order of the labels. Past the bound it is the series whose values are all `other`. */
  with(...values: readonly string[]): S {
    const key = values.join('\u0000');
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    if (this.#series.size >= this.#seriesMax) {
      this.#other ??= this.#open(new Array<string>(this.#labelCount).fill('other'));
      return this.#other;
    }
    const opened = this.#open(values);
    this.#series.set(key, opened);
    return opened;
  }
}

/** All metrics of one process. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #seriesMax: number;

  constructor({ seriesMax = SERIES_MAX }: { seriesMax?: number } = {}) {
    this.#seriesMax = seriesMax;
  }

  /** Adds what every Node process can tell: CPU, memory, garbage collection. Once, in `main`. */
  watchProcess(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  counter<L extends string>({ name, help, labels }: About<L>): Family<CounterSeries> {
    const counter = new Counter({ name, help, labelNames: labels, registers: [this.#registry] });
    return this.#family(labels, (values) => counter.labels(...values));
  }

  gauge<L extends string>({ name, help, labels }: About<L>): Family<GaugeSeries> {
    const gauge = new Gauge({ name, help, labelNames: labels, registers: [this.#registry] });
    return this.#family(labels, (values) => gauge.labels(...values));
  }

  /** `buckets` in the unit that the name ends with. */
  histogram<L extends string>(about: About<L> & { readonly buckets: readonly number[] }): Family<HistogramSeries> {
    const { name, help, labels, buckets } = about;
    const histogram = new Histogram({
      name,
      help,
      labelNames: labels,
      buckets: [...buckets],
      registers: [this.#registry],
    });
    return this.#family(labels, (values) => histogram.labels(...values));
  }

  /** A gauge that is read when somebody collects. */
  measured(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }

  /** A gauge with one label that is read when somebody collects: its values by those of the label. */
  measuredBy(
    about: { readonly name: string; readonly help: string; readonly label: string },
    read: () => ReadonlyMap<string, number>,
  ): void {
    const { name, help, label } = about;
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [this.#registry],
      collect() {
        for (const [value, count] of read()) this.set({ [label]: value }, count);
      },
    });
  }

  /** Everything in Prometheus' text format; `contentType` is the one to serve it with. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #family<S>(labels: readonly string[], open: (values: readonly string[]) => S): Family<S> {
    return new Family(open, labels.length, this.#seriesMax);
  }
}
