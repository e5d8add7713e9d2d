/** The part of sodium-native that signing uses; the package brings no types. */
declare module 'sodium-native' {
  const sodium: {
    readonly crypto_sign_SECRETKEYBYTES: number;
    /** Fills both keys from a seed of 32 bytes. */
    crypto_sign_seed_keypair(publicKey: Buffer, secretKey: Buffer, seed: Buffer): void;
    /** Fills `signature` (64 bytes). */
    crypto_sign_detached(signature: Buffer, message: Buffer, secretKey: Buffer): void;
  };
  export default sodium;
}
