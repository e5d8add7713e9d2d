/** The part of sodium-native that signing uses; the package brings no types. */
declare module 'sodium-native' {
  const sodium: {
    readonly crypto_sign_SECRETKEYBYTES: number;
    /** Fills both keys from a seed of 32 bytes. */
    crypto_sign_seed_keypair(publicKey: Buffer, secretKey: Buffer, seed: Buffer): void;
    /** Fills `signature` (64 bytes). */
    crypto_sign_detached(signature: Buffer, message: Buffer, secretKey: Buffer): void;
    /** Throws where a signature has not 64 bytes or a key not 32. */
    crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
  };
  export default sodium;
}
