/** One row of the table of weights: what is asked, how much it counts, and where it comes from. */
import type { Scores, Subject } from '../subject.ts';

export interface Verdict {
  readonly scores: Scores;
  /** A whole sentence about this workload. */
  readonly sentence: string;
  readonly fields: readonly string[];
}

export interface Criterion {
  readonly id: string;
  readonly title: string;
  readonly asks: string;
  /** Points for a score of 1. */
  readonly weight: number;
  readonly source: string;
  /** undefined: nothing that it asks is known, so it says nothing. */
  readonly judge: (subject: Subject) => Verdict | undefined;
}

/** How the sources are cited, in one place. */
export const SOURCES = {
  nist190: 'NIST SP 800-190, Application Container Security Guide',
  nist125: 'NIST SP 800-125A, Security Recommendations for Server-based Hypervisor Platforms',
  twelveFactor: 'The Twelve-Factor App (12factor.net)',
  firecracker: 'Agache et al., Firecracker: Lightweight Virtualization for Serverless Applications, NSDI 2020',
  felter: 'Felter et al., An Updated Performance Comparison of Virtual Machines and Linux Containers, ISPASS 2015',
  sultan: 'Sultan et al., Container Security: Issues, Challenges, and the Road Ahead, IEEE Access 2019',
  migration: 'AWS Prescriptive Guidance, the seven migration strategies',
  figures: 'measured figures (berth advise calibrate, else the shipped ones)',
  judgement: 'judgement of Berth’s authors; give it another weight where yours differs',
  forms: 'what the forms are (docs/guide/advise.md)',
} as const;
